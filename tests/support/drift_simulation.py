"""Simulated traffic for the signals of drift: a model, its evaluation set, and pods that answer pictures.

Values are drawn with a seed. `Traffic` describes what the model answers; the evaluation set is drawn from the same
traffic, or a test chooses another one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cetacean_operator.api.drift_signals import DriftSignals
from cetacean_operator.api.observed import PROBABILITY_UNIT
from cetacean_operator.api.status import SignalStatus
from cetacean_operator.decisions.answers import PooledAnswers, SpeciesAnswers
from cetacean_operator.decisions.signals import SignalVerdict, judge_signals
from cetacean_registry.figures import HISTOGRAM_BINS, ModelMetrics

Beta = tuple[float, float]
LOW = PROBABILITY_UNIT // HISTOGRAM_BINS
"""Below it, in ten-thousandths, a picture is rejected as low_confidence."""


@dataclass(frozen=True)
class Traffic:
    """The distribution of answers: shares of species, and the parameters of a beta distribution for each score."""

    species: Mapping[str, float] = field(default_factory=lambda: {"humpback": 0.5, "beluga": 0.3, "orca": 0.2})
    top_probability: Mapping[str, Beta] = field(
        default_factory=lambda: {"humpback": (8, 2), "beluga": (6, 2), "orca": (5, 3)}
    )
    cetacean_score: Beta = (18, 2)

    def with_mix(self, **shares: float) -> Traffic:
        """Return the same model on another mix of species."""
        return replace(self, species=shares)

    def with_top_probability(self, **betas: Beta) -> Traffic:
        """Return a model that is otherwise sure of some species."""
        return replace(self, top_probability={**self.top_probability, **betas})

    def draw(self, rng: np.random.Generator, number: int) -> list[Answer]:
        """Draw answers to accepted pictures."""
        names = list(self.species)
        chosen = rng.choice(len(names), size=number, p=[self.species[name] for name in names])
        shapes = np.array([self.top_probability[name] for name in names])[chosen]
        top = np.round(rng.beta(shapes[:, 0], shapes[:, 1]) * PROBABILITY_UNIT).astype(int)
        scores = rng.beta(*self.cetacean_score, size=number)
        return [
            Answer(names[at], int(probability), float(score))
            for at, probability, score in zip(chosen, top, scores, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Answer:
    """One accepted picture."""

    species: str
    probability: int
    """In ten-thousandths."""
    score: float


FOG = Traffic(top_probability={"humpback": (2, 5), "beluga": (2, 5), "orca": (2, 5)}, cetacean_score=(5, 4))
"""Pictures in fog: both models are less sure."""


class Window:
    """The newest answers of one pod, as counts."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: deque[Answer] = deque()
        self._scores, self._top = [0] * HISTOGRAM_BINS, [0] * HISTOGRAM_BINS
        self._species: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()

    def add(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._count(answer, 1)
        if len(self._answers) > self._size:
            self._count(self._answers.popleft(), -1)

    @property
    def answers(self) -> PooledAnswers:
        return PooledAnswers(
            answered=len(self._answers),
            identified=len(self._answers),
            low_confidence=self._top[0],
            probability_sum=sum(self._sums.values()),
            cetacean_score=tuple(self._scores),
            top_probability=tuple(self._top),
            species={name: SpeciesAnswers(n, self._sums[name]) for name, n in self._species.items() if n},
        )

    def _count(self, answer: Answer, sign: int) -> None:
        self._scores[_bin(answer.score)] += sign
        self._top[_bin(answer.probability / PROBABILITY_UNIT)] += sign
        self._species[answer.species] += sign
        self._sums[answer.species] += sign * answer.probability


def window_of(answers: list[Answer]) -> PooledAnswers:
    """Return a window that holds just these answers."""
    window = Window(len(answers))
    for answer in answers:
        window.add(answer)
    return window.answers


def reference(answers: list[Answer], *, named: bool = True) -> ModelMetrics:
    """Return the figures of a model whose evaluation set had these answers, all of the right species.

    Args:
        answers: to its pictures.
        named: with what the model names, as compute_metrics writes it.
    """
    counted = window_of(answers)
    return ModelMetrics.model_validate(
        {
            "identification": {"samples": len(answers), "topProbabilityMean": round(counted.top_probability_mean, 4)},
            "bySpecies": [
                {"species": name, "samples": one.count, "speciesAccuracy": 1.0}
                | ({"named": one.count, "namedTopProbabilityMean": round(one.mean, 4)} if named else {})
                for name, one in counted.species.items()
            ],
            "reference": {"cetaceanScore": counted.cetacean_score, "topProbability": counted.top_probability},
        }
    )


def judgements(
    metrics: ModelMetrics,
    answers: list[Answer],
    *,
    every: int,
    policy: DriftSignals | None = None,
    window: Window | None = None,
) -> Iterator[tuple[int, tuple[SignalVerdict, ...]]]:
    """Answer pictures and judge after each `every` of them, as the operator does at each scrape.

    Yields:
        The number of answers so far, and the verdicts.
    """
    policy = policy or DriftSignals()
    window = window or Window(policy.window)
    last: tuple[SignalStatus, ...] = ()
    for number, answer in enumerate(answers, start=1):
        window.add(answer)
        if number % every == 0:
            verdicts = judge_signals(window.answers, metrics, policy, last)
            last = tuple(one.shown for one in verdicts)
            yield number, verdicts


def raised(verdicts: tuple[SignalVerdict, ...]) -> set[str]:
    """Return the reasons of the raised signals."""
    return {one.shown.reason for one in verdicts if one.shown.raised}


def _bin(value: float) -> int:
    return min(int(value * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)
