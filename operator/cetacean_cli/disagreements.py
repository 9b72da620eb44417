"""The pictures about which two models disagree: as pods list them, and merged over pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from cetacean_cli.pod_answers import Name, PodAnswer

PATH: Final = "/v1/shadow-disagreements"
PICTURE_PATH: Final = "/v1/shadow-pictures/"
Kind = Literal["acceptance", "species", "individual"]


_Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Answer(PodAnswer):
    """The answer of one model."""

    accepted: bool
    species: Name
    individual: Name
    score: _Fraction
    probability: _Fraction

    @property
    def certainty(self) -> float:
        """How sure the model is: the probability of an accepted picture, else how far the gate's score is below 1."""
        return self.probability if self.accepted else 1.0 - self.score


class ComparedModel(PodAnswer):
    """One of the two models."""

    name: Name
    version: Name
    sha256: _Digest


class Listed(PodAnswer):
    """A picture as one pod lists it."""

    image_sha256: _Digest
    served: Answer
    candidate: Answer


class PodList(PodAnswer):
    """The list of one pod."""

    run: Name | None
    served: ComparedModel | None
    candidate: ComparedModel | None
    keeps_pictures: bool
    disagreements: Annotated[tuple[Listed, ...], Field(max_length=200, strict=False)]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A picture, merged over the pods that list it."""

    image_sha256: str
    served: Answer
    candidate: Answer
    pods: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """The first of acceptance, species and individual that differs."""
        if self.served.accepted != self.candidate.accepted:
            return "acceptance"
        return "species" if self.served.species != self.candidate.species else "individual"

    @property
    def certainty(self) -> float:
        """The lower certainty of both models: high if both are sure, and one of them must be wrong."""
        return round(min(self.served.certainty, self.candidate.certainty), 4)

    def report(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "image_sha256": self.image_sha256,
            "differs": self.kind,
            "certainty": self.certainty,
            "served": self.served.model_dump(),
            "candidate": self.candidate.model_dump(),
            "pods": list(self.pods),
        }


@dataclass(frozen=True, slots=True)
class Merged:
    """The disagreements of one comparison over all pods, the most certain first."""

    run: str | None = None
    """None if no pod has compared anything."""
    served: ComparedModel | None = None
    candidate: ComparedModel | None = None
    keeping: frozenset[str] = frozenset()
    """Pods that may have the pictures."""
    disagreements: tuple[Disagreement, ...] = ()
    others: tuple[str, ...] = field(default=())
    """Pods whose list is of another comparison."""


def parse_list(content: dict[str, Any]) -> PodList:
    """Read a pod's list.

    Raises:
        ValueError: one line that says what was expected.
    """
    return PodList.parse(PATH, content)


def merge(lists: dict[str, PodList]) -> Merged:
    """Merge the lists of pods by the digests of the pictures.

    Args:
        lists: by the pod's name. Of several comparisons, the one that most pods name counts.
    """
    runs = Counter(found.run for found in lists.values() if found.run is not None)
    if not runs:
        return Merged()
    run = max(sorted(runs), key=lambda name: runs[name])
    of_run = {pod: found for pod, found in sorted(lists.items()) if found.run == run}
    first = next(iter(of_run.values()))
    return Merged(
        run=run,
        served=first.served,
        candidate=first.candidate,
        keeping=frozenset(pod for pod, found in of_run.items() if found.keeps_pictures),
        disagreements=tuple(sorted(_by_digest(of_run), key=lambda one: (-one.certainty, one.image_sha256))),
        others=tuple(pod for pod, found in sorted(lists.items()) if found.run not in (run, None)),
    )


def _by_digest(lists: dict[str, PodList]) -> Iterable[Disagreement]:
    found: dict[str, list[tuple[str, Listed]]] = {}
    for pod, listed in lists.items():
        for item in listed.disagreements:
            found.setdefault(item.image_sha256, []).append((pod, item))
    return (_merged(digest, items) for digest, items in found.items())


def _merged(digest: str, items: Sequence[tuple[str, Listed]]) -> Disagreement:
    """Merge one picture; if pods have answered differently, the most certain answers count."""
    pods = tuple(dict.fromkeys(pod for pod, _ in items))
    candidates = [Disagreement(digest, item.served, item.candidate, pods) for _, item in items]
    return max(candidates, key=lambda one: one.certainty)
