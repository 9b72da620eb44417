"""Data types that the packages exchange; imports nothing of the service and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from PIL import Image

PreparedT = TypeVar("PreparedT")
NetworkName = Literal["gate", "identification"]


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
    rejected_engines: tuple[RejectedEngine, ...] = ()


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

    def prepare(self, image: Image.Image) -> PreparedT:
        """Resize one RGB picture for both models; thread safe, releases the GIL if it can."""
        ...

    def predict(self, batch: Sequence[PreparedT], *, threshold: float = 0.0) -> list[Scores]:
        """Score a batch, in its order; called by at most `num_workers` threads at once.

        Args:
            batch: prepared pictures.
            threshold: smallest cetacean score, 0..1, that is identified; 0.0 identifies every picture.
        """
        ...
