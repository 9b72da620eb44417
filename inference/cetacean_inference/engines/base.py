"""The interface of every engine; imports no torch, which a process with another engine never loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cetacean_inference.imaging.preprocessing import Pixels
from cetacean_inference.types import NetworkName

Outputs = npt.NDArray[np.float32]
Runner = Callable[[Pixels], Outputs]
"""uint8 (N, S, S, 3) → float32 (N,) or (N, K); OpenVINO's may be called by several threads at once."""


class EngineAbsent(Exception):  # noqa: N818 - not an error if another engine is available
    """The engine's package or device is missing; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class ConvertedNetwork:
    """A network in OpenVINO's format, and the outputs of eager torch for the comparison pictures."""

    name: NetworkName
    trunk: Path
    """The `.xml` file; its weights are in a `.bin` file of the same name."""
    head: Path
    """The same for the head."""
    side: int
    """Side of the square input, in pixels."""
    reference: Outputs
    """Eager torch for `agreement.comparison_inputs`: cetacean scores (N,), or probabilities (N, K)."""

    @property
    def weights(self) -> tuple[Path, Path]:
        """The files that an engine maps."""
        return self.trunk.with_suffix(".bin"), self.head.with_suffix(".bin")


ConvertedNetworks = Mapping[NetworkName, ConvertedNetwork]


@dataclass(frozen=True, slots=True)
class CompiledNetwork:
    """A network that can be called."""

    run: Runner
    side: int
    """Side of the square input, in pixels."""


class Engine(Protocol):
    """Compiles a converted network into a function of a batch of any size."""

    @property
    def name(self) -> str:
        """The name reported in /v1/identity."""
        ...

    def compile(self, network: ConvertedNetwork) -> Runner:
        """Compile a network whose input is uint8 (N, side, side, 3)."""
        ...
