"""Counts of feedback since the process started, by model version and true species; whole numbers only.

Pods' counts add up exactly. Names come from clients: their number and their length are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cetacean_inference.monitoring.species_names import OTHER, short_species
from cetacean_registry.figures import MAX_SPECIES

MOST_VERSIONS: Final = 16
"""Model versions that are counted by name; the one that is served is always among them."""
_LONGEST_VERSION: Final = 64
"""In bytes, so that the size of the metrics is bounded whatever the characters are."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer that was compared with the truth."""

    model_version: str
    """Of the model that answered."""
    species: str
    """The true one."""
    species_correct: bool
    individual_correct: bool | None
    """None if the truth does not name an individual."""


@dataclass(slots=True)
class Outcomes:
    """Answers that are right and wrong."""

    correct: int = 0
    wrong: int = 0

    def count(self, *, correct: bool) -> None:
        """Count one answer."""
        self.correct += correct
        self.wrong += not correct


@dataclass(slots=True)
class VersionFeedback:
    """The feedback on the answers of one model version."""

    individuals: Outcomes = field(default_factory=Outcomes)
    """Only answers to pictures of which the truth names the individual."""
    by_species: dict[str, Outcomes] = field(default_factory=dict)
    """Whether the species is right, by the true species."""

    def count(self, judged: Judged) -> None:
        """Count one answer."""
        species = _bounded(short_species(judged.species), self.by_species, MAX_SPECIES)
        self.by_species.setdefault(species, Outcomes()).count(correct=judged.species_correct)
        if judged.individual_correct is not None:
            self.individuals.count(correct=judged.individual_correct)


class FeedbackCounts:
    """All counts of one process. Not thread safe: used in the event loop only.

    Args:
        served_version: keeps its name, however many others clients have named before.
    """

    def __init__(self, served_version: str) -> None:
        self._versions: dict[str, VersionFeedback] = {_short_version(served_version): VersionFeedback()}
        self.received = 0

    def count(self, judged: Judged) -> None:
        """Count one answer for the version that gave it."""
        version = _bounded(_short_version(judged.model_version), self._versions, MOST_VERSIONS)
        self._versions.setdefault(version, VersionFeedback()).count(judged)
        self.received += 1

    @property
    def versions(self) -> dict[str, VersionFeedback]:
        """The versions that have feedback, sorted."""
        return {name: found for name, found in sorted(self._versions.items()) if found.by_species}

    def report(self) -> dict[str, Any]:
        """Return all counts: the fields of /v1/feedback-stats."""
        return {"received": self.received, "models": [_report(name, found) for name, found in self.versions.items()]}


def _report(version: str, found: VersionFeedback) -> dict[str, Any]:
    species = found.by_species
    return {
        "model_version": version,
        "species_correct": sum(one.correct for one in species.values()),
        "species_wrong": sum(one.wrong for one in species.values()),
        "individual_correct": found.individuals.correct,
        "individual_wrong": found.individuals.wrong,
        "by_species": [
            {"name": name, "correct": one.correct, "wrong": one.wrong} for name, one in sorted(species.items())
        ],
    }


def _bounded(name: str, known: dict[str, Any], most: int) -> str:
    """Return the name to count under; `OTHER` comes on top of the bound."""
    return name if name in known or len(known.keys() - {OTHER}) < most else OTHER


def _short_version(name: str) -> str:
    return name.encode(errors="replace")[:_LONGEST_VERSION].decode(errors="ignore")
