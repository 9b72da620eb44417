"""Tries an engine: compiles a network, and compares its outputs with those of eager torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Literal

from cetacean_inference.engines.agreement import (
    BATCHES,
    comparison_inputs,
    gate_disagreement,
    identification_disagreement,
    run_in_batches,
)
from cetacean_inference.engines.base import CompiledNetwork, ConvertedNetworks, Engine, EngineAbsent, Outputs
from cetacean_inference.messages import with_type
from cetacean_inference.settings import EngineSettings
from cetacean_inference.types import NetworkName, RejectedEngine

logger = logging.getLogger(__name__)


def try_engine(
    engine: Engine,
    name: NetworkName,
    networks: ConvertedNetworks | Exception,
    settings: EngineSettings,
    *,
    batches: Sequence[int] = BATCHES,
) -> CompiledNetwork | RejectedEngine:
    """Compile a network, and compare its outputs with eager torch's.

    Args:
        engine: compiles.
        name: of the network.
        networks: the converted networks, or the error because of which there are none.
        settings: with the deviations that are allowed.
        batches: sizes of the batches that are compared.
    """
    begun = time.monotonic()
    reason: Literal["absent", "failed", "disagrees"]
    try:
        if isinstance(networks, Exception):
            raise networks  # noqa: TRY301 - rejects each engine for the same reason
        network = networks[name]
        run = engine.compile(network)
        pictures = comparison_inputs(name, network.side, pictures=sum(batches))
        found = run_in_batches(run, pictures, batches)
        detail = disagreement(name, found, network.reference[: len(pictures)], settings)
        reason = "disagrees"
    except EngineAbsent as error:
        detail, reason = str(error), "absent"
    except Exception as error:  # noqa: BLE001 - a compiler may raise anything
        detail, reason = with_type(error), "failed"
    if detail is None:
        seconds = time.monotonic() - begun
        logger.info("%s computes the %s, after %.1f s and %d pictures", engine.name, name, seconds, len(pictures))
        return CompiledNetwork(run, network.side)
    return RejectedEngine(engine.name, name, reason, detail)


def disagreement(name: NetworkName, found: Outputs, reference: Outputs, settings: EngineSettings) -> str | None:
    """Return why outputs differ too much from eager torch's; None if they agree."""
    if name == "gate":
        return gate_disagreement(found, reference, allowed=settings.max_score_deviation)
    return identification_disagreement(found, reference, allowed=settings.max_probability_deviation)
