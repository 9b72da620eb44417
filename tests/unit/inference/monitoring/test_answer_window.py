"""The newest answers as counts: they are those of the window, whole numbers, and bounded in number."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_inference.decision import LOW_CONFIDENCE
from cetacean_inference.monitoring.answer_window import BINS, AnswerWindow, bin_of
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.monitoring.species_names import SpeciesNames
from cetacean_inference.settings import DriftSettings
from cetacean_registry.figures import MAX_SPECIES


class Answer(NamedTuple):
    score: float
    probability: float
    species: str | None


tenthousandths = st.integers(0, 10_000).map(lambda number: number / 10_000)
answers = st.lists(
    st.builds(Answer, st.floats(0, 1), tenthousandths, st.sampled_from([None, "orca", "minke", "blue"])), max_size=60
)


def add(window: AnswerWindow, answer: Answer) -> None:
    low = answer.species is not None and answer.probability < LOW_CONFIDENCE
    window.add(cetacean_score=answer.score, probability=answer.probability, species=answer.species, low_confidence=low)


@given(answers, st.integers(1, 20), st.integers(1, 20))
def test_the_counts_are_those_of_the_newest_answers_after_any_change_of_size(
    given_answers: list[Answer], size: int, later_size: int
) -> None:
    window = AnswerWindow(size)
    for answer in given_answers:
        add(window, answer)
    window.resize(later_size)
    newest = given_answers[-min(size, later_size) :]
    identified = [one for one in newest if one.species is not None]
    stats = window.stats
    assert (stats.window, stats.n, stats.identified) == (later_size, len(newest), len(identified))
    assert stats.low_confidence == sum(one.probability < LOW_CONFIDENCE for one in identified)
    assert stats.cetacean_score == tuple(Counter(bin_of(one.score) for one in newest)[at] for at in range(BINS))
    assert sum(stats.top_probability) == len(identified)
    assert stats.top_probability[0] == stats.low_confidence, "the first bin is the rule on low confidence"
    assert {name: one.n for name, one in stats.species.items()} == Counter(one.species for one in identified)
    assert round(stats.probability_sum * 10_000) == sum(round(one.probability * 10_000) for one in identified)
    assert round(sum(one.probability_sum for one in stats.species.values()) * 10_000) == round(
        stats.probability_sum * 10_000
    )


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 0), (0.0499, 0), (0.05, 1), (0.15, 3), (0.35, 7), (0.9999, 19), (1.0, 19), (-0.0, 0)]
)
def test_a_value_is_in_the_bin_that_begins_with_it(value: float, expected: int) -> None:
    assert bin_of(value) == expected


def test_an_empty_window_has_all_counts_at_zero() -> None:
    stats = AnswerWindow(5).stats
    assert (stats.n, stats.identified, stats.probability_sum, stats.species) == (0, 0, 0.0, {})
    assert stats.cetacean_score == stats.top_probability == (0,) * BINS


def test_species_beyond_the_limit_share_one_name() -> None:
    window = AnswerWindow(1000)
    for number in range(MAX_SPECIES + 10):
        add(window, Answer(0.9, 0.9, f"species-{number}"))
    species = window.stats.species
    assert len(species) == MAX_SPECIES + 1
    assert species["other"].n == 10
    names = SpeciesNames()
    assert len(names.bounded("x" * 1000)) <= 64
    assert names.bounded("orca") == names.bounded("orca") == "orca"


def test_the_monitoring_file_sets_the_window_of_the_answers() -> None:
    monitor = DriftMonitor(model="tiny", settings=DriftSettings(), monitoring=Monitoring(answers_window=3))
    for _ in range(5):
        monitor.record(0.9, 0.8, species="orca")
    monitor.record(0.2, 0.0)
    stats = monitor.stats
    assert (stats.n, stats.answers.n, stats.answers.identified) == (6, 3, 2)
    assert stats.answers.species["orca"].probability_sum == 1.6
    monitor.configure(Monitoring(answers_window=1))
    assert (monitor.stats.answers.n, monitor.stats.answers.identified) == (1, 0)
