"""Selects the engine of each network: the fastest that is available and agrees with eager torch, or the one asked for.

Eager torch on the processor is the reference, for CUDA too, which rounds convolutions differently. Each network has its
own engine: bfloat16 may keep the likeliest individual and still change the gate's score too much.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from cetacean_inference.engines.agreement import (
    comparison_inputs,
    gate_disagreement,
    identification_disagreement,
    run_in_batches,
)
from cetacean_inference.engines.base import CompiledNetwork, ConvertedNetwork, Engine, EngineAbsent, Outputs
from cetacean_inference.engines.openvino import OpenVinoEngine, openvino
from cetacean_inference.errors import ConfigInvalid, FatalError
from cetacean_inference.messages import with_type
from cetacean_inference.settings import EngineSettings
from cetacean_inference.system.openmp import num_threads
from cetacean_inference.types import NetworkName, RejectedEngine

logger = logging.getLogger(__name__)

ACCELERATORS: Final = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""Device files of drivers that torch supports; without any of them torch is not imported to find a device."""

CUDA: Final = "torch-eager-cuda"
EAGER: Final = "torch-eager"

Device = Literal["cpu", "cuda"]
ConvertedNetworks = Mapping[NetworkName, ConvertedNetwork]
LoadConverted = Callable[[], ConvertedNetworks]
LoadEager = Callable[[NetworkName, Device], CompiledNetwork]


@dataclass(frozen=True, slots=True)
class SelectedEngines:
    """Both networks, each compiled by its engine."""

    name: str
    gate: CompiledNetwork
    identification: CompiledNetwork
    rejected_engines: tuple[RejectedEngine, ...] = ()
    """Faster engines that are not used."""
    is_thread_safe: bool = False
    """True if several threads may compute at once."""


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


def select_engines(settings: EngineSettings, *, converted: LoadConverted, eager: LoadEager) -> SelectedEngines:
    """Compile each network with the first engine that is available and agrees; eager torch is the last resort.

    Args:
        settings: the engine and the device asked for.
        converted: returns the networks in OpenVINO's format; called at most once.
        eager: returns a network of eager torch on a device; called only for networks that no other engine computes,
            and on CUDA for the reference.

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
    for name in get_args(NetworkName):
        for attempt in _attempts(name, candidates, networks, eager, device=device, settings=settings):
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
        is_thread_safe=not any(one.engine.startswith("torch-") for one in selected.values()),
    )


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
    """Return the engines to try before eager torch, the fastest first; none on CUDA, which is faster than all."""
    if settings.name == EAGER or device != "cpu":
        return ()
    threads = settings.threads or num_threads()
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
    candidates: Sequence[Engine],
    networks: ConvertedNetworks | Exception,
    eager: LoadEager,
    *,
    device: Device,
    settings: EngineSettings,
) -> Iterator[_Attempt]:
    """Try the engines that are faster than eager torch on the processor, the fastest first."""
    if device == "cuda":
        yield _Attempt(CUDA, _try_cuda(name, eager, settings))
    for engine in candidates:
        yield _Attempt(engine.name, _try_engine(engine, name, networks, settings))


def _try_cuda(name: NetworkName, eager: LoadEager, settings: EngineSettings) -> CompiledNetwork | RejectedEngine:
    begun = time.monotonic()
    reason: Literal["failed", "disagrees"] = "disagrees"
    try:
        reference = eager(name, "cpu")
        pictures = comparison_inputs(name, reference.side)
        outputs = run_in_batches(reference.run, pictures)
        del reference
        compiled = eager(name, "cuda")
        detail = _disagreement(
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


def _try_engine(
    engine: Engine, name: NetworkName, networks: ConvertedNetworks | Exception, settings: EngineSettings
) -> CompiledNetwork | RejectedEngine:
    begun = time.monotonic()
    reason: Literal["absent", "failed", "disagrees"]
    try:
        if isinstance(networks, Exception):
            raise networks  # noqa: TRY301 - rejects each engine for the same reason
        network = networks[name]
        run = engine.compile(network)
        found = run_in_batches(run, comparison_inputs(name, network.side))
        detail = _disagreement(name, found, network.reference, settings)
        reason = "disagrees"
    except EngineAbsent as error:
        detail, reason = str(error), "absent"
    except Exception as error:  # noqa: BLE001 - a compiler may raise anything
        detail, reason = with_type(error), "failed"
    if detail is None:
        logger.info("%s computes the %s, after %.1f s", engine.name, name, time.monotonic() - begun)
        return CompiledNetwork(run, network.side)
    return RejectedEngine(engine.name, name, reason, detail)


def _disagreement(name: NetworkName, found: Outputs, reference: Outputs, settings: EngineSettings) -> str | None:
    if name == "gate":
        return gate_disagreement(found, reference, allowed=settings.max_score_deviation)
    return identification_disagreement(found, reference, allowed=settings.max_probability_deviation)
