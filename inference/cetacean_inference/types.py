"""Data types that the packages exchange; imports nothing of the service and no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from PIL import Image

from cetacean_inference.system.start_times import StartPart

if TYPE_CHECKING:  # the decoder's processes, which must start fast, import this module
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

PreparedT = TypeVar("PreparedT")
NetworkName = Literal["gate", "identification"]


@dataclass(frozen=True, slots=True)
class Resize:
    """How a picture is resized for one network."""

    method: Literal["crop_centre", "squash", "original"]
    side: int = 0
    """Width and height of the result in pixels; unused by `original`."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One picture, decoded and resized."""

    size: tuple[int, int]
    """Width and height of the whole picture in pixels, after its orientation was applied."""
    pixels: tuple[Pixels, ...]
    """RGB, (height, width, 3), one for each requested `Resize`, in the same order."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One known individual and how likely the picture shows it."""

    class_animal: str
    """The individual's id, from `encoder_classes.npy`."""
    id_animal: str
    """The individual's species, from `species_map.csv`."""
    probability: float
    """Softmax over the known classes, 0..1, not rounded."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Outputs of both models for one picture."""

    cetacean_score: float
    """Sum of the gate's softmax over its positive prompts, 0..1, not rounded."""
    ranking: tuple[Candidate, ...]
    """The five likeliest individuals (fewer if fewer are known), likeliest first; empty if the gate rejects."""


@dataclass(frozen=True, slots=True)
class RejectedEngine:
    """A faster engine that is not used, and why."""

    engine: str
    network: NetworkName
    reason: Literal["absent", "failed", "disagrees"]
    detail: str
    """One line: expected and found."""


@dataclass(frozen=True, slots=True)
class ServedIdentity:
    """The weights and the engine of a loaded pipeline; digests are 64 hex digits of the bytes that were read."""

    weights_sha256: str
    gate_sha256: str
    engine: str
    files: Mapping[str, str]
    """Digests of the files beside the checkpoint, by name."""
    rejected_engines: tuple[RejectedEngine, ...] = ()
    engine_times_ms: Mapping[NetworkName, Mapping[str, float]] = field(default_factory=dict)
    """Milliseconds for one picture as measured on this processor, by engine."""
    start_seconds: Mapping[StartPart, float] = field(default_factory=dict)
    """Seconds of each part of the start."""


class Decoder(Protocol):
    """Decodes and resizes untrusted pictures."""

    @property
    def healthy(self) -> bool:
        """True if it can decode."""
        ...

    async def decode(self, read: Callable[[], bytes], resizes: Sequence[Resize]) -> Decoded:
        """Decode one picture.

        Args:
            read: returns the file's bytes; called in a thread, perhaps more than once.
            resizes: the pictures to return.

        Raises:
            rejected_requests.RequestRejected: see `imaging.decoding.decode`; 413 if it takes too long.
        """
        ...

    def close(self) -> None:
        """End all processes, and decode no more."""
        ...


class Pipeline(Protocol, Generic[PreparedT]):
    """Turns pictures into scores; knows nothing of HTTP or queues."""

    @property
    def identity(self) -> ServedIdentity:
        """The weights and the engine it computes with."""
        ...

    @property
    def num_workers(self) -> int:
        """Number of threads that may call `predict` at once."""
        ...

    @property
    def resizes(self) -> Sequence[Resize]:
        """How pictures are resized before `pack`."""
        ...

    def pack(self, pixels: Sequence[Pixels]) -> PreparedT:
        """Make the input of `predict` from one picture, resized as `resizes` says; thread safe."""
        ...

    def prepare(self, image: Image.Image) -> PreparedT:
        """Resize one RGB picture as `resizes` says, and `pack` it; thread safe."""
        ...

    def predict(self, batch: Sequence[PreparedT], *, threshold: float = 0.0) -> list[Scores]:
        """Score a batch, in its order; called by at most `num_workers` threads at once.

        Args:
            batch: prepared pictures.
            threshold: smallest cetacean score, 0..1, that is identified; 0.0 identifies every picture.
        """
        ...
