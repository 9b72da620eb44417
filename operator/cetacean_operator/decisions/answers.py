"""The newest answers of the pods that serve a model, added up exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cetacean_operator.api.observed import PROBABILITY_UNIT, AnswerCounts
from cetacean_registry.figures import HISTOGRAM_BINS

_EMPTY = (0,) * HISTOGRAM_BINS


@dataclass(frozen=True, slots=True)
class SpeciesAnswers:
    """The answers that name one species."""

    count: int
    probability_sum: int
    """In units of 1 / PROBABILITY_UNIT."""

    @property
    def mean(self) -> float:
        """Mean probability; there is at least one answer."""
        return self.probability_sum / (self.count * PROBABILITY_UNIT)


@dataclass(frozen=True, slots=True)
class PooledAnswers:
    """Answers of several pods together; all counts and sums are whole numbers."""

    answered: int = 0
    identified: int = 0
    low_confidence: int = 0
    probability_sum: int = 0
    cetacean_score: tuple[int, ...] = _EMPTY
    top_probability: tuple[int, ...] = _EMPTY
    species: Mapping[str, SpeciesAnswers] = field(default_factory=dict)

    @property
    def top_probability_mean(self) -> float:
        """Mean probability of the likeliest individual; there is at least one identified picture."""
        return self.probability_sum / (self.identified * PROBABILITY_UNIT)


def pool_answers(reports: Iterable[AnswerCounts]) -> PooledAnswers:
    """Add up the answers of pods."""
    reports = tuple(reports)
    counts: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for report in reports:
        for one in report.species:
            counts[one.species] += one.number
            sums[one.species] += one.probability_sum
    return PooledAnswers(
        answered=sum(report.answered for report in reports),
        identified=sum(report.identified for report in reports),
        low_confidence=sum(report.low_confidence for report in reports),
        probability_sum=sum(sums.values()),
        cetacean_score=_added(report.cetacean_score for report in reports),
        top_probability=_added(report.top_probability for report in reports),
        species={name: SpeciesAnswers(count, sums[name]) for name, count in counts.items() if count},
    )


def _added(histograms: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(_EMPTY, *histograms, strict=True)))
