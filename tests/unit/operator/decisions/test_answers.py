"""The newest answers of several pods, added up exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cetacean_operator.api.observed import AnswerCounts, SpeciesCount
from cetacean_operator.decisions.answers import PooledAnswers, SpeciesAnswers, pool_answers

EMPTY = (0,) * 18
FIRST = AnswerCounts(
    answered=10,
    identified=5,
    low_confidence=1,
    cetacean_score=(4, *EMPTY, 6),
    top_probability=(2, *EMPTY, 3),
    species=(SpeciesCount("orca", 3, 27_000), SpeciesCount("beluga", 2, 10_000)),
)
SECOND = AnswerCounts(
    answered=7,
    identified=4,
    low_confidence=2,
    cetacean_score=(1, *EMPTY, 6),
    top_probability=(0, *EMPTY, 4),
    species=(SpeciesCount("minke_whale", 3, 15_000), SpeciesCount("orca", 1, 5_000)),
)


def test_counts_histograms_and_species_of_all_pods_are_added() -> None:
    pooled = pool_answers(iter([FIRST, SECOND]))
    assert pooled == PooledAnswers(
        answered=17,
        identified=9,
        low_confidence=3,
        probability_sum=57_000,
        cetacean_score=(5, *EMPTY, 12),
        top_probability=(2, *EMPTY, 7),
        species={
            "orca": SpeciesAnswers(4, 32_000),
            "beluga": SpeciesAnswers(2, 10_000),
            "minke_whale": SpeciesAnswers(3, 15_000),
        },
    )
    assert pooled.species["orca"].mean == 0.8
    assert replace(pooled, probability_sum=45_000).top_probability_mean == 0.5


def test_a_species_that_no_answer_names_is_left_out() -> None:
    report = replace(FIRST, species=(SpeciesCount("orca", 5, 37_000), SpeciesCount("beluga", 0, 0)))
    assert pool_answers([report]).species == {"orca": SpeciesAnswers(5, 37_000)}


def test_without_pods_there_are_no_answers() -> None:
    none = (0,) * 20
    assert pool_answers([]) == PooledAnswers(0, 0, 0, 0, none, none, {})


def test_a_histogram_of_other_bins_is_not_added_in_part() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pool_answers([FIRST, replace(SECOND, top_probability=(4,))])
