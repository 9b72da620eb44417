"""The newest answers of one pod as counts: histograms of both scores, low confidence, and the species named.

All figures are whole numbers, so the operator can add those of several pods without any loss.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from cetacean_inference.decision import DIGITS
from cetacean_inference.monitoring.species_names import SpeciesNames

BINS: Final = 20
"""Bins of equal width over 0..1; bin 0 holds what the service rejects as `low_confidence`."""
EDGES: Final = tuple(number / BINS for number in range(1, BINS + 1))
"""The upper edge of each bin."""
_UNIT: Final = 10**DIGITS
"""Answers have their probability rounded to four decimals: sums of ten-thousandths are exact."""


@dataclass(frozen=True, slots=True)
class SpeciesAnswers:
    """The answers in the window that name one species."""

    n: int
    probability_sum: float
    """Of their `probability`, exact to its four decimals."""


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """The window at one moment; the fields of `answers` in /v1/drift-stats."""

    window: int = 0
    n: int = 0
    """Pictures answered."""
    identified: int = 0
    """Those of them that the gate accepted, so that the identification named an individual."""
    low_confidence: int = 0
    """Those of these that were rejected as `low_confidence`."""
    probability_sum: float = 0.0
    """Of `probability` over the identified ones, exact to its four decimals."""
    cetacean_score: tuple[int, ...] = (0,) * BINS
    """Pictures by cetacean score."""
    top_probability: tuple[int, ...] = (0,) * BINS
    """Identified pictures by probability."""
    species: dict[str, SpeciesAnswers] = field(default_factory=dict)
    """Identified pictures by species, by name."""


@dataclass(frozen=True, slots=True)
class _Answer:
    score_bin: int
    probability: int
    """In units of the last decimal."""
    species: str | None
    """None if the gate rejected the picture."""
    low_confidence: bool


def bin_of(value: float) -> int:
    """Return the bin of a value; the last bin includes 1.0, and values outside of 0..1 count as its ends."""
    return min(max(int(value * BINS), 0), BINS - 1)


class AnswerWindow:
    """Rolling window over answers; O(1) for each. Not thread safe: the drift monitor holds its lock.

    Args:
        size: the most answers it holds.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: deque[_Answer] = deque()
        self._names = SpeciesNames()
        self._scores, self._probabilities = [0] * BINS, [0] * BINS
        self._species: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._low_confidence = 0

    def resize(self, size: int) -> None:
        """Hold at most `size` answers, the newest ones, from now on."""
        self._size = size
        while len(self._answers) > size:
            self._count(self._answers.popleft(), -1)

    def add(self, *, cetacean_score: float, probability: float, species: str | None, low_confidence: bool) -> None:
        """Add one answer.

        Args:
            cetacean_score: the gate's, 0..1.
            probability: of the likeliest individual, 0..1, rounded as answers have it.
            species: of that individual; None if the gate rejected the picture.
            low_confidence: the picture was rejected because the individual is too unlikely.
        """
        name = None if species is None else self._names.bounded(species)
        answer = _Answer(bin_of(cetacean_score), round(probability * _UNIT), name, low_confidence)
        self._answers.append(answer)
        self._count(answer, 1)
        if len(self._answers) > self._size:
            self._count(self._answers.popleft(), -1)

    @property
    def stats(self) -> AnswerStats:
        """The window now."""
        return AnswerStats(
            window=self._size,
            n=len(self._answers),
            identified=sum(self._species.values()),
            low_confidence=self._low_confidence,
            probability_sum=sum(self._sums.values()) / _UNIT,
            cetacean_score=tuple(self._scores),
            top_probability=tuple(self._probabilities),
            species={
                name: SpeciesAnswers(count, self._sums[name] / _UNIT)
                for name, count in sorted(self._species.items())
                if count
            },
        )

    def _count(self, answer: _Answer, sign: int) -> None:
        self._scores[answer.score_bin] += sign
        if answer.species is None:
            return
        self._probabilities[bin_of(answer.probability / _UNIT)] += sign
        self._species[answer.species] += sign
        self._sums[answer.species] += sign * answer.probability
        self._low_confidence += sign * answer.low_confidence
