"""Ranks the engines of a network by the times that they take on this processor."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cetacean_inference.engines.agreement import comparison_inputs
from cetacean_inference.engines.base import ConvertedNetworks, Engine
from cetacean_inference.engines.timing import PICTURES, Clock, EngineTimes, picture_ms
from cetacean_inference.engines.trial import try_engine
from cetacean_inference.settings import EngineSettings
from cetacean_inference.system.openmp import num_threads
from cetacean_inference.types import NetworkName, RejectedEngine

logger = logging.getLogger(__name__)

MIN_GAIN: Final = 1.05
"""An engine must be faster by this factor than one that is more precise."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The engines of one network, the fastest first."""

    engines: tuple[Engine, ...]
    rejected: Mapping[str, RejectedEngine] = field(default_factory=dict)
    """Those found unusable while they were to be timed."""
    times_ms: Mapping[str, float] = field(default_factory=dict)


def rank_engines(
    name: NetworkName,
    candidates: Sequence[Engine],
    networks: ConvertedNetworks | Exception,
    settings: EngineSettings,
    clock: Clock,
) -> Ranking:
    """Return the engines of a network, the fastest on this processor first.

    Engines that have not been timed before are compiled one after the other, so that only one is in memory.
    """
    if isinstance(networks, Exception) or name not in networks:
        return Ranking(tuple(candidates))
    network = networks[name]
    stored = EngineTimes(network.trunk.parent, threads=settings.threads or num_threads())
    times = {engine: ms for engine, ms in stored.read(name).items() if engine in {one.name for one in candidates}}
    rejected: dict[str, RejectedEngine] = {}
    measured: dict[str, float] = {}
    for engine in candidates:
        rivals = [one for one in candidates if one is not engine and one.name not in rejected]
        if engine.name in times or not rivals:
            continue
        result = try_engine(engine, name, networks, settings)
        if isinstance(result, RejectedEngine):
            rejected[engine.name] = result
        else:
            pictures = comparison_inputs(name, network.side, pictures=PICTURES)
            measured[engine.name] = picture_ms(result.run, pictures, clock=clock)
            del result
    times |= measured
    if measured:
        stored.add(name, measured)
    if len(times) > 1:
        logger.info("%s, for one picture: %s", name, ", ".join(f"{engine} {ms:.1f} ms" for engine, ms in times.items()))
    handicaps = {engine.name: MIN_GAIN ** (len(candidates) - number) for number, engine in enumerate(candidates)}
    # One without a time comes first: it is rejected, or the only one.
    ranked = sorted(candidates, key=lambda one: times.get(one.name, 0.0) * handicaps[one.name])
    return Ranking(tuple(ranked), rejected, times)
