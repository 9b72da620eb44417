"""Selects the engine of each network: the fastest that is available and agrees with eager torch, or the one asked for.

Which is the fastest is measured on this processor (`timing`).

Eager torch on the processor is the reference, for CUDA too, which rounds convolutions differently. Each network has its
own engine: bfloat16 may keep the likeliest individual and still change the gate's score too much.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from cetacean_inference.engines.agreement import BATCHES, FEW_BATCHES, comparison_inputs, run_in_batches
from cetacean_inference.engines.base import CompiledNetwork, ConvertedNetworks, Engine
from cetacean_inference.engines.openvino import OpenVinoEngine, openvino
from cetacean_inference.engines.ranking import Ranking, rank_engines
from cetacean_inference.engines.timing import Clock
from cetacean_inference.engines.trial import disagreement, try_engine
from cetacean_inference.errors import ConfigInvalid, FatalError
from cetacean_inference.messages import with_type
from cetacean_inference.settings import EngineSettings
from cetacean_inference.system.openmp import num_threads
from cetacean_inference.types import NetworkName, RejectedEngine

logger = logging.getLogger(__name__)

ACCELERATORS: Final = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""Device files of drivers that torch supports; without any of them torch is not imported to find a device."""

FEW_THREADS: Final = 2
"""One batch at a time keeps so many busy."""
CUDA: Final = "torch-eager-cuda"
EAGER: Final = "torch-eager"

Device = Literal["cpu", "cuda"]
LoadConverted = Callable[[], ConvertedNetworks]
LoadEager = Callable[[NetworkName, Device], CompiledNetwork]


@dataclass(frozen=True, slots=True)
class SelectedEngines:
    """Both networks, each compiled by its engine."""

    name: str
    gate: CompiledNetwork
    identification: CompiledNetwork
    rejected_engines: tuple[RejectedEngine, ...] = ()
    """Engines that could not be used, or may not."""
    times_ms: Mapping[NetworkName, Mapping[str, float]] = field(default_factory=dict)
    """Milliseconds for one picture, by engine; empty for a network that only one engine can compute."""
    batches_at_once: int = 1
    """How many threads may compute at once, and should."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One engine's result for one network."""

    engine: str
    result: CompiledNetwork | RejectedEngine


def check_engine(settings: EngineSettings) -> Device:
    """Return the device that computes, before any weights are read.

    Raises:
        ConfigInvalid: the device does not exist, or the engine cannot use it.
    """
    if settings.name == "openvino":
        if settings.device == "cuda":
            raise ConfigInvalid("engine.device: expected auto or cpu with the engine openvino, got cuda")
        return "cpu"
    if settings.device == "cpu" or (settings.device == "auto" and not any(one.exists() for one in ACCELERATORS)):
        return "cpu"
    import torch  # noqa: PLC0415 - takes seconds and memory, for nothing without an accelerator

    if torch.cuda.is_available():
        return "cuda"
    if settings.device == "cuda":
        raise ConfigInvalid("engine.device: expected a CUDA device, found none")
    return "cpu"


def select_engines(
    settings: EngineSettings, *, converted: LoadConverted, eager: LoadEager, clock: Clock = time.perf_counter
) -> SelectedEngines:
    """Compile each network with the fastest engine that is available and agrees; eager torch is the last resort.

    Args:
        settings: the engine and the device asked for.
        converted: returns the networks in OpenVINO's format; called at most once.
        eager: returns a network of eager torch on a device; called only for networks that no other engine computes,
            and on CUDA for the reference.
        clock: times the engines.

    Raises:
        ConfigInvalid: the engine or device asked for is not available or does not agree; it is never replaced.
        errors.FatalError: the weights cannot be used by any engine.
    """
    device = check_engine(settings)
    candidates = faster_than_eager(settings, device)
    networks = _load_converted(converted) if candidates else {}
    selected: dict[NetworkName, _Attempt] = {}
    compiled: dict[NetworkName, CompiledNetwork] = {}
    rejected: list[RejectedEngine] = []
    times: dict[NetworkName, Mapping[str, float]] = {}
    for name in get_args(NetworkName):
        ranked = rank_engines(name, candidates, networks, settings, clock)
        times[name] = ranked.times_ms
        for attempt in _attempts(name, ranked, networks, eager, device=device, settings=settings):
            if isinstance(attempt.result, CompiledNetwork):
                selected[name], compiled[name] = attempt, attempt.result
                break
            logger.warning("not computing the %s with %s: %s", name, attempt.engine, attempt.result.detail)
            rejected.append(attempt.result)
        else:
            _forbid_replacement(name, settings, rejected)
            compiled[name] = eager(name, "cpu")
            selected[name] = _Attempt(EAGER, compiled[name])
    gate, identification = selected["gate"].engine, selected["identification"].engine
    return SelectedEngines(
        gate if gate == identification else f"{identification}, gate {gate}",
        compiled["gate"],
        compiled["identification"],
        tuple(rejected),
        times,
        batches_at_once=_batches_at_once([one.engine for one in selected.values()], settings),
    )


def _batches_at_once(engines: Sequence[str], settings: EngineSettings) -> int:
    """Return two if one batch can be identified while another is at the gate, and there are processors for both.

    On two processors the second batch made no answer earlier, and the latencies of clients uneven.
    """
    thread_safe = not any(engine.startswith("torch-") for engine in engines)
    return 2 if thread_safe and _threads(settings) > FEW_THREADS else 1


def _threads(settings: EngineSettings) -> int:
    return settings.threads or num_threads()


def _forbid_replacement(name: NetworkName, settings: EngineSettings, rejected: Sequence[RejectedEngine]) -> None:
    """Raise if the engine or device was asked for by name, because eager torch would replace it."""
    found = "; ".join(f"{one.engine}: {one.detail}" for one in rejected if one.network == name)
    for setting, requested in (("name", "openvino"), ("device", "cuda")):
        if getattr(settings, setting) == requested:
            raise ConfigInvalid(
                f"engine.{setting}: expected {requested} to be there and to compute the {name} as torch-eager "
                f"does, got {found}"
            )


def faster_than_eager(settings: EngineSettings, device: Device) -> Sequence[Engine]:
    """Return the engines to try before eager torch, the least precise first; none on CUDA, faster than all."""
    if settings.name == EAGER or device != "cpu":
        return ()
    threads = _threads(settings)
    return (OpenVinoEngine("bf16", threads=threads), OpenVinoEngine("fp32", threads=threads))


def _load_converted(converted: LoadConverted) -> ConvertedNetworks | Exception:
    """Return the networks, or the error because of which there are none."""
    try:
        openvino()
        return converted()
    except FatalError:
        raise
    except Exception as error:  # noqa: BLE001 - a compiler may raise anything, and eager torch still serves
        return error


def _attempts(
    name: NetworkName,
    ranking: Ranking,
    networks: ConvertedNetworks | Exception,
    eager: LoadEager,
    *,
    device: Device,
    settings: EngineSettings,
) -> Iterator[_Attempt]:
    """Try the engines that are faster than eager torch on the processor, the fastest first."""
    if device == "cuda":
        yield _Attempt(CUDA, _try_cuda(name, eager, settings))
    for engine in ranking.engines:
        rejected = ranking.rejected.get(engine.name)
        # It was timed after it had agreed on all pictures.
        batches = FEW_BATCHES if engine.name in ranking.times_ms else BATCHES
        yield _Attempt(engine.name, rejected or try_engine(engine, name, networks, settings, batches=batches))


def _try_cuda(name: NetworkName, eager: LoadEager, settings: EngineSettings) -> CompiledNetwork | RejectedEngine:
    begun = time.monotonic()
    reason: Literal["failed", "disagrees"] = "disagrees"
    try:
        reference = eager(name, "cpu")
        pictures = comparison_inputs(name, reference.side)
        outputs = run_in_batches(reference.run, pictures)
        del reference
        compiled = eager(name, "cuda")
        detail = disagreement(
            name,
            run_in_batches(compiled.run, pictures),
            outputs,
            settings,
        )
    except FatalError:
        raise
    except Exception as error:  # noqa: BLE001 - out of memory, a driver too old
        detail, reason = with_type(error), "failed"
    if detail is None:
        logger.info("%s computes the %s, after %.1f s", CUDA, name, time.monotonic() - begun)
        return compiled
    return RejectedEngine(CUDA, name, reason, detail)
