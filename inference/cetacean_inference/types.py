"""What the service's parts hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from PIL import Image

PreparedT = TypeVar("PreparedT")


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
    """What the models say of one picture."""

    cetacean_score: float
    """Sum of the gate's softmax over its positive prompts, 0..1, not rounded."""
    ranking: tuple[Candidate, ...]
    """The five likeliest individuals (fewer when fewer are known), likeliest first; none where the gate let nothing
    through."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An engine that would be faster, and why it does not compute."""

    engine: str
    network: str
    """`gate` or `identification`."""
    reason: Literal["absent", "failed", "disagrees"]
    detail: str
    """What was expected and what came."""


@dataclass(frozen=True, slots=True)
class ServedIdentity:
    """Which weights a loaded pipeline computes with; digests are 64 hex digits of the bytes that were read."""

    name: str
    version: str
    architecture: str
    weights_sha256: str
    expected_sha256: str | None
    gate_architecture: str
    gate_pretrained: str | None
    gate_sha256: str | None
    engine: str
    passed_over: tuple[PassedOver, ...] = ()


class Pipeline(Protocol, Generic[PreparedT]):
    """Pictures in, scores out; knows nothing of HTTP or queues."""

    @property
    def identity(self) -> ServedIdentity:
        """Which weights it computes with."""
        ...

    @property
    def lanes(self) -> int:
        """How many threads may call `predict` at once, so that processors do not wait for a batch's last picture."""
        ...

    def prepare(self, image: Image.Image) -> PreparedT:
        """Resize and normalise one RGB picture for both models; thread safe, releases the GIL where it can."""
        ...

    def predict(self, batch: Sequence[PreparedT], *, threshold: float = 0.0) -> list[Scores]:
        """Score a batch, in its order; called by as many threads at once as there are lanes.

        Args:
            batch: of pictures.
            threshold: smallest cetacean score, 0..1, of what is identified; 0.0 identifies every picture.
        """
        ...

    def touch(self) -> None:
        """Note that what it computes with is in use, so that no other pod evicts it."""
        ...
