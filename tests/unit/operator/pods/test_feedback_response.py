"""`/v1/feedback-stats`, as the service sends it and as a hostile pod might."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cetacean_inference.monitoring.feedback import FeedbackCounts, Judged
from cetacean_operator.api.feedback import AnswerFeedback
from cetacean_operator.pods.feedback_response import LARGEST_BODY, parse_feedback_stats
from cetacean_operator.pods.pod_responses import BadAnswerError


def judged(version: str, species: str, *, correct: bool, individual: bool | None = None) -> Judged:
    return Judged(version, species, species_correct=correct, individual_correct=individual)


def stats(*given: Judged) -> bytes:
    """Return the answer of a pod that has received this feedback."""
    counts = FeedbackCounts("1.0.0")
    for one in given:
        counts.count(one)
    return json.dumps(counts.report(), ensure_ascii=False).encode()


def parsed(**changes: Any) -> Any:
    model = json.loads(stats(judged("1.0.0", "orca", correct=True)))["models"][0]
    return parse_feedback_stats(json.dumps({"models": [model | changes]}).encode())


def test_the_services_answer_is_read() -> None:
    body = stats(
        judged("1.0.0", "orca", correct=True, individual=True),
        judged("1.0.0", "orca", correct=True, individual=False),
        judged("1.0.0", "beluga", correct=False),
        judged("0.9.0", "beluga", correct=False, individual=False),
    )
    assert parse_feedback_stats(body) == {"1.0.0": AnswerFeedback(2, 1, 1, 1), "0.9.0": AnswerFeedback(0, 1, 0, 1)}


def test_the_fullest_answer_of_the_service_is_read_without_what_is_of_no_version() -> None:
    names = [f"{number:02}" + "\N{SPOUTING WHALE}" * 64 for number in range(70)]
    body = stats(*(judged(f"{v:02}-{'9' * 60}", name, correct=True) for v in range(20) for name in names))
    found = parse_feedback_stats(body)
    assert len(body) < LARGEST_BODY
    assert len(found) == 15  # the served version has a place, and no feedback
    assert set(found.values()) == {AnswerFeedback(70)}


def test_a_pod_without_feedback_has_no_counts() -> None:
    assert parse_feedback_stats(stats()) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"species_correct": -1},
        {"species_correct": 1.0},
        {"species_correct": True},
        {"species_correct": "1"},
        {"species_correct": None},
        {"species_wrong": 10**400},
        {"species_wrong": 10**12 + 1},
        {"individual_correct": 2},
        {"individual_correct": 1, "individual_wrong": 1},
        {"model_version": None},
        {"model_version": ""},
        {"model_version": ["1.0.0"]},
    ],
)
def test_impossible_counts_are_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError, match="/v1/feedback-stats: expected"):
        parsed(**changes)


@pytest.mark.parametrize(
    "models",
    [
        None,
        {},
        ["1.0.0"],
        [{"model_version": "1", **dict.fromkeys(("species_correct", "species_wrong"), 1)}],
        [json.loads(stats(judged("1.0.0", "orca", correct=True)))["models"][0]] * 2,
        [{"model_version": f"{n}"} for n in range(18)],
    ],
)
def test_another_list_is_an_error(models: Any) -> None:
    with pytest.raises(BadAnswerError, match="/v1/feedback-stats: expected"):
        parse_feedback_stats(json.dumps({"models": models}).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b" " * (LARGEST_BODY + 1)])
def test_another_body_is_an_error(body: bytes) -> None:
    with pytest.raises(BadAnswerError, match="/v1/feedback-stats: expected"):
        parse_feedback_stats(body)


def test_half_of_a_surrogate_pair_is_replaced_because_it_could_not_be_written() -> None:
    (version,) = parsed(model_version="1\ud800")
    assert version == "1?"
