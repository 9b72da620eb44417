"""Which engine computes: the fastest that is there and agrees with eager torch, or the one that is asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch

from cetacean_inference.engines.agreement import Calibration, Figures, calibration, disagreement, figures
from cetacean_inference.engines.base import Engine, EngineAbsent, Networks, Runners, compile_both
from cetacean_inference.engines.cpus import usable_cpus
from cetacean_inference.engines.eager import EagerEngine, choose_device
from cetacean_inference.engines.openvino import OpenVinoEngine
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.settings import EngineSettings
from cetacean_inference.types import PassedOver

logger = logging.getLogger(__name__)

AVAILABLE: Final = ("auto", "torch-eager", "openvino")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The engine that computes."""

    name: str
    runners: Runners
    passed_over: tuple[PassedOver, ...] = ()
    """Faster ones that do not, and why."""


def check_engine(settings: EngineSettings) -> None:
    """Refuse what cannot be, before any weights are read.

    Raises:
        ConfigInvalid: when there is no such engine, or the device is not there.
    """
    if settings.name not in AVAILABLE:
        raise ConfigInvalid(f"engine.name: expected one of {', '.join(AVAILABLE)}, got {settings.name}")
    if settings.device == "cuda":
        if settings.name == "openvino":
            raise ConfigInvalid("engine.device: expected auto or cpu with the engine openvino, got cuda")
        if not torch.cuda.is_available():
            raise ConfigInvalid("engine.device: expected a CUDA device, found none")


def choose_engine(settings: EngineSettings, networks: Networks) -> Chosen:
    """Compile with the first engine that is there and agrees; eager torch, the reference, always is and does.

    Raises:
        ConfigInvalid: when the engine that is asked for is not there or does not agree; never is another one taken
            in its place.
    """
    check_engine(settings)
    eager = EagerEngine(choose_device("cpu" if settings.name == "openvino" else settings.device))
    candidates = faster_than(eager, settings)
    passed_over: list[PassedOver] = []
    if candidates:
        pictures = calibration(networks)
        reference = figures(compile_both(eager, networks), pictures)
        for engine in candidates:
            tried = _try(engine, networks, pictures, reference, allowed=settings.max_score_deviation)
            if isinstance(tried, Runners):
                return Chosen(engine.name, tried, tuple(passed_over))
            logger.warning("not computing with %s: %s", tried.engine, tried.detail)
            passed_over.append(tried)
    if settings.name == "openvino":
        told = "; ".join(f"{one.engine}: {one.detail}" for one in passed_over)
        raise ConfigInvalid(f"engine.name: expected openvino to be there and to agree with torch-eager, got: {told}")
    return Chosen(eager.name, compile_both(eager, networks), tuple(passed_over))


def faster_than(eager: EagerEngine, settings: EngineSettings) -> Sequence[Engine]:
    """What to try before eager torch, the fastest first; on CUDA that is as fast as it gets."""
    if settings.name == "torch-eager" or eager.device.type != "cpu":
        return ()
    threads = settings.threads or usable_cpus()
    return (OpenVinoEngine("bf16", threads=threads), OpenVinoEngine("fp32", threads=threads))


def _try(
    engine: Engine, networks: Networks, pictures: Calibration, reference: Figures, *, allowed: float
) -> Runners | PassedOver:
    begun = time.monotonic()
    reason: Literal["absent", "failed", "disagrees"]
    try:
        runners = compile_both(engine, networks)
        detail = disagreement(figures(runners, pictures), reference, allowed=allowed)
        reason = "disagrees"
    except EngineAbsent as error:
        detail, reason = str(error), "absent"
    except Exception as error:  # noqa: BLE001 - whatever a compiler stumbles on, eager torch still serves
        detail, reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", "failed"
    if detail is None:
        logger.info("%s agrees with torch-eager, after %.1f s", engine.name, time.monotonic() - begun)
        return runners
    return PassedOver(engine.name, reason, detail)
