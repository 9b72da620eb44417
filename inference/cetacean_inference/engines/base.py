"""The face of every engine; imports no torch, which a process that computes with something else never loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from cetacean_inference.models.preprocessing import Pixels

Scored = npt.NDArray[np.float32]
Runner = Callable[[Pixels], Scored]
"""uint8 (N, S, S, 3) → float32 (N,) or (N, K); OpenVINO's may be called by several threads at once."""
NetworkName = Literal["gate", "identification"]


class EngineAbsent(Exception):  # noqa: N818 - no error where another engine will do
    """The engine's package, or the device it needs, is not there; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A network in OpenVINO's form, and what eager torch answers with it."""

    name: NetworkName
    trunk: Path
    """The `.xml`; its weights lie beside it in a `.bin`."""
    head: Path
    """Likewise."""
    side: int
    """Of the square input, in pixels."""
    answers: Scored
    """For the pictures of `agreement`: cetacean scores (N,), or the row of the likeliest individual (N,)."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A network as it is computed."""

    run: Runner
    side: int
    """Of its square input, in pixels."""


class Engine(Protocol):
    """Turns a converted network into something that can be called with a batch of any size."""

    @property
    def name(self) -> str:
        """As reported in /v1/identity."""
        ...

    def compile(self, network: Converted) -> Runner:
        """Prepare a network whose input is (N, side, side, 3) in bytes."""
        ...
