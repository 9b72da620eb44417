"""The face of every engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from cetacean_inference.models.preprocessing import Pixels

Scored = npt.NDArray[np.float32]
Runner = Callable[[Pixels], Scored]
"""uint8 (N, S, S, 3) → float32 (N,) or (N, K)."""


class EngineAbsent(Exception):  # noqa: N818 - no error where another engine will do
    """The engine's package, or the device it needs, is not there; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Both models as torch modules, and the sides of their inputs in pixels."""

    gate: nn.Module
    gate_side: int
    identification: nn.Module
    identification_side: int


class Engine(Protocol):
    """Turns a network into something that can be called with a batch of any size."""

    @property
    def name(self) -> str:
        """As reported in /v1/identity."""
        ...

    def compile(self, network: nn.Module, *, side: int) -> Runner:
        """Prepare a network whose input is (N, side, side, 3) in bytes."""
        ...
