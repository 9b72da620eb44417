"""The newest answers that a pod reports: used if they can be counts of pictures, left out as a whole if not."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_inference.monitoring.answer_window import BINS, AnswerWindow
from cetacean_operator.api.observed import PROBABILITY_UNIT
from cetacean_operator.pods.answer_counts import parse_answers
from cetacean_operator.pods.pod_responses import LARGEST_JSON, parse_drift_stats
from cetacean_registry.figures import HISTOGRAM_BINS, MAX_SPECIES

NAMES = ["orca", "beluga", "x" * 300]


def reported(answers: list[tuple[float, int, str | None]]) -> Any:
    """Return what a pod reports after answers: score, probability in ten-thousandths, species."""
    window = AnswerWindow(1000)
    for score, probability, species in answers:
        window.add(
            cetacean_score=score,
            probability=0.0 if species is None else probability / PROBABILITY_UNIT,
            species=species,
            low_confidence=species is not None and probability < PROBABILITY_UNIT / BINS,
        )
    return json.loads(json.dumps(asdict(window.stats)))


GIVEN = reported([(0.9, 8123, "orca"), (0.8, 100, "orca"), (0.7, 5000, "beluga"), (0.1, 0, None)])


def test_operator_service_and_registry_have_the_same_bins_and_species() -> None:
    assert BINS == HISTOGRAM_BINS


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10_000), st.none() | st.sampled_from(NAMES)), max_size=80))
def test_what_the_service_reports_is_read_exactly(answers: list[tuple[float, int, str | None]]) -> None:
    found = parse_answers(reported(answers))
    assert found is not None
    identified = [probability for _, probability, species in answers if species is not None]
    assert (found.answered, found.identified) == (len(answers), len(identified))
    assert sum(one.probability_sum for one in found.species) == sum(identified)
    assert found.low_confidence == found.top_probability[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 5},
        {"n": -1},
        {"n": True},
        {"n": 4.0},
        {"n": 10**400},
        {"identified": 2},
        {"low_confidence": 4},
        {"cetacean_score": [4] + [0] * 18},
        {"cetacean_score": [-1, 5] + [0] * 18},
        {"cetacean_score": "4" + "0" * 19},
        {"top_probability": [1e999] * 20},
        {"species": {"orca": {"n": 3, "probability_sum": 3.1}}},
        {"species": {"orca": {"n": 3, "probability_sum": 0.12345}}},
        {"species": {"orca": {"n": 3, "probability_sum": float("nan")}}},
        {"species": {"orca": {"n": 3, "probability_sum": -1}}},
        {"species": {"orca": 3}},
        {"species": {"x" * 65: {"n": 3, "probability_sum": 1.0}}},
        {"species": [["orca", 3]]},
        {"species": {f"s{number}": {"n": 1, "probability_sum": 0.5} for number in range(66)}},
    ],
)
def test_answers_that_cannot_be_counts_of_pictures_are_left_out_as_a_whole(changes: dict[str, Any]) -> None:
    assert parse_answers(GIVEN) is not None
    assert parse_answers({**GIVEN, **changes}) is None


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: st.lists(inner, max_size=21) | st.dictionaries(st.text(), inner, max_size=3),
                max_leaves=25,
            )
            for name in GIVEN
        },
    )
)
def test_no_answer_of_a_pod_ends_the_reading(changes: dict[str, Any]) -> None:
    parse_answers({**GIVEN, **changes})
    parse_answers(changes.get("n"))


def test_half_of_a_surrogate_pair_in_a_name_can_be_encoded() -> None:
    given_answers = {**GIVEN, "species": {"\ud800": {"n": 3, "probability_sum": 1.0}}}
    found = parse_answers(given_answers)
    assert found is not None
    assert found.species[0].species.encode()


def test_a_hundred_pods_with_the_most_species_keep_less_than_two_megabytes() -> None:
    species = {f"{number:064d}": {"n": 1, "probability_sum": 1.0} for number in range(MAX_SPECIES + 1)}
    number = len(species)
    counts = [number] + [0] * 19
    answers = {
        **GIVEN,
        "n": number,
        "identified": number,
        "low_confidence": 0,
        "cetacean_score": counts,
        "top_probability": counts,
        "species": species,
    }
    body = json.dumps({"n": number, "answers": answers, "more": ["y" * 1000] * 40}).encode()
    assert len(body) < LARGEST_JSON
    read = parse_drift_stats("/v1/drift-stats", body)
    assert read.answers is not None
    assert len(pickle.dumps(read)) * 100 < 2 * 1024 * 1024
