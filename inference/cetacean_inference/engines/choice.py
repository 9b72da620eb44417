"""Which engine computes: the fastest that is there and agrees with eager torch, or the one that is asked for.

Eager torch on the processor is the reference, for CUDA too: there convolutions are rounded otherwise.

Each network has its own: bfloat16 that leaves the likeliest individual as it is may move the gate's score too far.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from cetacean_inference.engines.agreement import gate_disagreement, identification_disagreement, in_batches, pictures_of
from cetacean_inference.engines.base import Computed, Converted, Engine, EngineAbsent, NetworkName, Scored
from cetacean_inference.engines.cpus import usable_cpus
from cetacean_inference.engines.openvino import OpenVinoEngine, openvino
from cetacean_inference.errors import CannotGoOn, ConfigInvalid
from cetacean_inference.settings import EngineSettings
from cetacean_inference.types import PassedOver

logger = logging.getLogger(__name__)

ACCELERATORS: Final = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""What a driver leaves where torch may find a device; without any of these it need not be asked."""

CUDA: Final = "torch-eager-cuda"

Device = Literal["cpu", "cuda"]
ToConverted = Callable[[], Mapping[NetworkName, Converted]]
ToEager = Callable[[NetworkName, Device], Computed]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What computes both networks."""

    name: str
    gate: Computed
    identification: Computed
    passed_over: tuple[PassedOver, ...] = ()
    """Faster engines that do not, and why."""
    by_many_threads: bool = False
    """Whether several threads may compute at once."""


def check_engine(settings: EngineSettings) -> Device:
    """Refuse what cannot be, before any weights are read; give the device that computes.

    Raises:
        ConfigInvalid: when the device is not there, or not the engine's.
    """
    if settings.name == "openvino":
        if settings.device == "cuda":
            raise ConfigInvalid("engine.device: expected auto or cpu with the engine openvino, got cuda")
        return "cpu"
    if settings.device == "cpu" or (settings.device == "auto" and not any(one.exists() for one in ACCELERATORS)):
        return "cpu"
    import torch  # noqa: PLC0415 - takes seconds and memory, for nothing where there is no accelerator

    if torch.cuda.is_available():
        return "cuda"
    if settings.device == "cuda":
        raise ConfigInvalid("engine.device: expected a CUDA device, found none")
    return "cpu"


def choose_engine(settings: EngineSettings, *, converted: ToConverted, eager: ToEager) -> Chosen:
    """Compile with the first engines that are there and agree; eager torch on the processor always is and does.

    Args:
        settings: what is asked for.
        converted: gives the networks in the form that faster engines take; called once, if at all.
        eager: gives a network as eager torch computes it on a device; called only for those that no other engine
            computes, and on CUDA for the reference.

    Raises:
        ConfigInvalid: when the engine or the device that is asked for is not there or does not agree; never is another
            one taken in its place.
        errors.CannotGoOn: when the weights cannot be used at all.
    """
    device = check_engine(settings)
    candidates = faster_than_eager(settings, device)
    networks = _converted(converted) if candidates else {}
    computed: dict[NetworkName, Computed] = {}
    engines: dict[NetworkName, str] = {}
    passed_over: list[PassedOver] = []
    for name in get_args(NetworkName):
        for tried_name, tried in _attempts(name, candidates, networks, eager, device=device, settings=settings):
            if not isinstance(tried, PassedOver):
                computed[name], engines[name] = tried, tried_name
                break
            logger.warning("not computing the %s with %s: %s", name, tried.engine, tried.detail)
            passed_over.append(tried)
        else:
            told = "; ".join(f"{one.engine}: {one.detail}" for one in passed_over if one.network == name)
            for setting, asked in (("name", "openvino"), ("device", "cuda")):
                if getattr(settings, setting) == asked:
                    raise ConfigInvalid(
                        f"engine.{setting}: expected {asked} to be there and to compute the {name} as torch-eager "
                        f"does, got {told}"
                    )
            computed[name], engines[name] = eager(name, "cpu"), "torch-eager"
    gate, identification = engines["gate"], engines["identification"]
    return Chosen(
        gate if gate == identification else f"{identification}, gate {gate}",
        computed["gate"],
        computed["identification"],
        tuple(passed_over),
        by_many_threads=not any(name.startswith("torch-") for name in engines.values()),
    )


def faster_than_eager(settings: EngineSettings, device: Device) -> Sequence[Engine]:
    """What to try before eager torch, the fastest first; torch on CUDA is as fast as it gets."""
    if settings.name == "torch-eager" or device != "cpu":
        return ()
    threads = settings.threads or usable_cpus()
    return (OpenVinoEngine("bf16", threads=threads), OpenVinoEngine("fp32", threads=threads))


def _converted(converted: ToConverted) -> Mapping[NetworkName, Converted] | Exception:
    """The networks, or why there are none."""
    try:
        openvino()
        return converted()
    except CannotGoOn:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a compiler stumbles on, eager torch still serves
        return error


def _attempts(
    name: NetworkName,
    candidates: Sequence[Engine],
    networks: Mapping[NetworkName, Converted] | Exception,
    eager: ToEager,
    *,
    device: Device,
    settings: EngineSettings,
) -> Iterator[tuple[str, Computed | PassedOver]]:
    """What may compute a network before eager torch on the processor does, the fastest first."""
    if device == "cuda":
        yield CUDA, _try_cuda(name, eager, settings)
    for engine in candidates:
        yield engine.name, _try(engine, name, networks, settings)


def _try_cuda(name: NetworkName, eager: ToEager, settings: EngineSettings) -> Computed | PassedOver:
    begun = time.monotonic()
    reason: Literal["failed", "disagrees"] = "disagrees"
    try:
        reference = eager(name, "cpu")
        pictures = pictures_of(name, reference.side)
        answers = in_batches(reference.run, pictures)
        del reference
        computed = eager(name, "cuda")
        detail = _disagreement(
            name, in_batches(computed.run, pictures), answers if name == "gate" else answers.argmax(axis=1), settings
        )
    except CannotGoOn:
        raise
    except Exception as error:  # noqa: BLE001 - as above: out of memory, a driver too old
        detail, reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", "failed"
    if detail is None:
        logger.info("%s computes the %s, after %.1f s", CUDA, name, time.monotonic() - begun)
        return computed
    return PassedOver(CUDA, name, reason, detail)


def _try(
    engine: Engine,
    name: NetworkName,
    networks: Mapping[NetworkName, Converted] | Exception,
    settings: EngineSettings,
) -> Computed | PassedOver:
    begun = time.monotonic()
    reason: Literal["absent", "failed", "disagrees"]
    try:
        if isinstance(networks, Exception):
            raise networks  # noqa: TRY301 - each engine is passed over for it
        network = networks[name]
        run = engine.compile(network)
        found = in_batches(run, pictures_of(name, network.side))
        detail = _disagreement(name, found, network.answers, settings)
        reason = "disagrees"
    except EngineAbsent as error:
        detail, reason = str(error), "absent"
    except Exception as error:  # noqa: BLE001 - as above
        detail, reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", "failed"
    if detail is None:
        logger.info("%s computes the %s, after %.1f s", engine.name, name, time.monotonic() - begun)
        return Computed(run, network.side)
    return PassedOver(engine.name, name, reason, detail)


def _disagreement(name: NetworkName, found: Scored, answers: Scored, settings: EngineSettings) -> str | None:
    if name == "gate":
        return gate_disagreement(found, answers, allowed=settings.max_score_deviation)
    return identification_disagreement(found, answers)
