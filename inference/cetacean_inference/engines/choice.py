"""Which engine computes: the fastest that is there and agrees with eager torch, or the one that is asked for.

Each network has its own: bfloat16 that leaves the likeliest individual as it is may move the gate's score too far.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import torch
from torch import nn

from cetacean_inference.engines.agreement import gate_disagreement, identification_disagreement, in_batches, prepared
from cetacean_inference.engines.base import Engine, EngineAbsent, Networks, Runner, Scored
from cetacean_inference.engines.cpus import usable_cpus
from cetacean_inference.engines.eager import EagerEngine, choose_device
from cetacean_inference.engines.openvino import OpenVinoEngine
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.models.preprocessing import Pixels, crop_centre, squash
from cetacean_inference.settings import EngineSettings
from cetacean_inference.types import PassedOver

logger = logging.getLogger(__name__)

AVAILABLE: Final = ("auto", "torch-eager", "openvino")


Disagreement = Callable[[Scored, Scored], str | None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What computes both networks."""

    name: str
    gate: Runner
    identification: Runner
    passed_over: tuple[PassedOver, ...] = ()
    """Faster engines that do not, and why."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One network, and what an engine must answer to compute it."""

    name: str
    network: nn.Module
    side: int
    pictures: Callable[[], Pixels]
    disagreement: Disagreement


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
    """Compile with the first engines that are there and agree; eager torch, the reference, always is and does.

    Raises:
        ConfigInvalid: when the engine that is asked for is not there or does not agree; never is another one taken
            in its place.
    """
    check_engine(settings)
    gate_side, side = networks.gate_side, networks.identification_side
    gate = _Task(
        "gate",
        networks.gate,
        gate_side,
        partial(prepared, crop_centre, gate_side),
        partial(gate_disagreement, allowed=settings.max_score_deviation),
    )
    identification = _Task(
        "identification", networks.identification, side, partial(prepared, squash, side), identification_disagreement
    )
    gate_engine, run_gate, gate_passed_over = _first_that_agrees(settings, gate)
    engine, run, passed_over = _first_that_agrees(settings, identification)
    name = engine if engine == gate_engine else f"{engine}, gate {gate_engine}"
    return Chosen(name, run_gate, run, (*gate_passed_over, *passed_over))


def _first_that_agrees(settings: EngineSettings, task: _Task) -> tuple[str, Runner, Sequence[PassedOver]]:
    eager = EagerEngine(choose_device("cpu" if settings.name == "openvino" else settings.device))
    run_eager = eager.compile(task.network, side=task.side)
    passed_over: list[PassedOver] = []
    if candidates := faster_than(eager, settings):
        pictures = task.pictures()
        reference = in_batches(run_eager, pictures)
        for engine in candidates:
            tried = _try(engine, task, pictures, reference)
            if not isinstance(tried, PassedOver):
                return engine.name, tried, passed_over
            logger.warning("not computing the %s with %s: %s", task.name, tried.engine, tried.detail)
            passed_over.append(tried)
    if settings.name == "openvino":
        told = "; ".join(f"{one.engine}: {one.detail}" for one in passed_over)
        raise ConfigInvalid(
            f"engine.name: expected openvino to be there and to compute the {task.name} as torch-eager does, got {told}"
        )
    return eager.name, run_eager, passed_over


def faster_than(eager: EagerEngine, settings: EngineSettings) -> Sequence[Engine]:
    """What to try before eager torch, the fastest first; on CUDA that is as fast as it gets."""
    if settings.name == "torch-eager" or eager.device.type != "cpu":
        return ()
    threads = settings.threads or usable_cpus()
    return (OpenVinoEngine("bf16", threads=threads), OpenVinoEngine("fp32", threads=threads))


def _try(engine: Engine, task: _Task, pictures: Pixels, reference: Scored) -> Runner | PassedOver:
    begun = time.monotonic()
    reason: Literal["absent", "failed", "disagrees"]
    try:
        run = engine.compile(task.network, side=task.side)
        detail = task.disagreement(in_batches(run, pictures), reference)
        reason = "disagrees"
    except EngineAbsent as error:
        detail, reason = str(error), "absent"
    except Exception as error:  # noqa: BLE001 - whatever a compiler stumbles on, eager torch still serves
        detail, reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", "failed"
    if detail is None:
        logger.info("%s computes the %s, after %.1f s", engine.name, task.name, time.monotonic() - begun)
        return run
    return PassedOver(engine.name, task.name, reason, detail)
