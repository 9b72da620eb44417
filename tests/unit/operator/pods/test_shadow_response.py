"""`/v1/shadow-stats`, as the service sends it and as a hostile pod might."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cetacean_inference.shadow.agreement import Agreement
from cetacean_inference.shadow.answers import Answer
from cetacean_operator.api.shadow import SpeciesPairs
from cetacean_operator.pods.pod_responses import BadAnswerError
from cetacean_operator.pods.shadow_response import parse_shadow_stats


def stats() -> dict[str, Any]:
    """Return the answer of a pod that has compared two pictures."""
    agreement = Agreement()
    one = Answer(accepted=True, species="orca", individual="a", score=9000, probability=8000, compute_us=100)
    other = Answer(accepted=True, species="orca", individual="b", score=8000, probability=7000, compute_us=900)
    agreement.count(one, one)
    agreement.count(one, other)
    return {
        "run": "one",
        "model": None,
        "sampled": 5,
        "dropped": 1,
        "busy": 1,
        "failed": {"timeout": 1, "status": 0},
        "candidate": agreement.report(),
        "noise": Agreement().report(),
    }


def parsed(**changes: Any) -> Any:
    return parse_shadow_stats(json.dumps({**stats(), **changes}).encode())


def test_the_services_answer_is_read_whole() -> None:
    found = parsed()
    assert (found.run, found.sampled, found.dropped, found.busy, found.failed) == ("one", 5, 1, 1, 1)
    pairs = found.candidate
    assert (pairs.pairs, pairs.accepted, pairs.both_accepted, pairs.species, pairs.individual) == (2, 2, 2, 2, 1)
    assert (pairs.score_difference, pairs.probability_served, pairs.probability_other) == (-1000, 16_000, 15_000)
    assert (pairs.compute_us_served, pairs.compute_us_other, pairs.slower) == (200, 1000, 1)
    assert (pairs.higher, pairs.lower) == (0, 1)
    assert pairs.by_species == {"orca": SpeciesPairs(2, 2, 1)}


@pytest.mark.parametrize(
    "changes",
    [
        {"accepted": 3},
        {"species": 3},
        {"pairs": -1},
        {"pairs": 2.0},
        {"pairs": True},
        {"pairs": "2"},
        {"pairs": 10**400},
        {"slower": 3},
        {"higher": 2},
        {"by_species": {}},
        {"by_species": [{"name": "orca", "pairs": 1, "species": 2, "individual": 0}]},
        {"by_species": [{"name": "orca", "pairs": 3, "species": 0, "individual": 0}]},
        {"by_species": [{"name": "orca", "pairs": 1, "species": 0, "individual": 0}] * 2},
        {"by_species": [{"name": None, "pairs": 1, "species": 0, "individual": 0}]},
        {"by_species": ["orca"]},
        {"by_species": [{"name": f"s{n}", "pairs": 0, "species": 0, "individual": 0} for n in range(65)]},
    ],
)
def test_impossible_counts_are_a_bad_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError, match="/v1/shadow-stats: expected"):
        parsed(candidate={**stats()["candidate"], **changes})


@pytest.mark.parametrize("changes", [{"failed": None}, {"candidate": []}, {"sampled": None}, {"noise": 1}])
def test_missing_parts_are_a_bad_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError, match="/v1/shadow-stats: expected"):
        parsed(**changes)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 60_000, b"x" * 70_000])
def test_what_is_no_answer_is_a_bad_one(body: bytes) -> None:
    with pytest.raises(BadAnswerError, match="/v1/shadow-stats: expected"):
        parse_shadow_stats(body)


@pytest.mark.parametrize(("length", "is_read"), [(64, True), (65, False)])
def test_the_name_of_a_species_is_as_long_as_the_registrys_figures_allow(length: int, *, is_read: bool) -> None:
    counts = {"pairs": 1, "species": 1, "individual": 1}
    candidate = {**stats()["candidate"], "by_species": [{"name": "x" * length, **counts}]}
    if is_read:
        assert set(parsed(candidate=candidate).candidate.by_species) == {"x" * length}
        return
    with pytest.raises(BadAnswerError, match="of at most 64 letters"):
        parsed(candidate=candidate)
