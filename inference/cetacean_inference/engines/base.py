"""The face of every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from cetacean_inference.models.preprocessing import Pixels

Scored = npt.NDArray[np.float32]
Runner = Callable[[Pixels], Scored]
"""uint8 (N, S, S, 3) → float32 (N,) or (N, K)."""


class Engine(Protocol):
    """Turns a network into something that can be called with a batch of any size."""

    @property
    def name(self) -> str:
        """As reported in /v1/identity."""
        ...

    def compile(self, network: nn.Module, *, side: int) -> Runner:
        """Prepare a network whose input is (N, side, side, 3) in bytes."""
        ...
