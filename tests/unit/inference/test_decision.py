"""The decision: from scores to the answer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_inference.decision import Detection, RejectionReason, corrupted, decide
from cetacean_inference.types import Candidate, Scores

FIELDS = [
    "image_ind", "bbox", "class_animal", "id_animal", "probability", "mask", "is_cetacean", "cetacean_score", "rejected",
    "rejection_reason", "model_version", "candidates",
]  # fmt: skip
unit = st.floats(0, 1)
rankings = st.lists(unit, max_size=7).map(
    lambda values: tuple(
        Candidate(f"id{rank}", f"species{rank % 2}", value) for rank, value in enumerate(sorted(values, reverse=True))
    )
)


def answer(score: float, ranking: tuple[Candidate, ...], *, threshold: float = 0.52) -> Detection:
    return decide(
        Scores(score, ranking), threshold=threshold, image_ind="a.jpg", size=(640, 480), model_version="1.0.0"
    )


def ranked(*probabilities: float) -> tuple[Candidate, ...]:
    return tuple(Candidate(f"id{n}", f"species{n}", p) for n, p in enumerate(probabilities, start=1))


def test_the_answer_for_an_identified_picture() -> None:
    found = answer(0.987654, ranked(0.8, 0.123456, 0.05, 0.02, 0.005, 0.001))
    assert found.model_dump(mode="json") == {
        "image_ind": "a.jpg",
        "bbox": [0, 0, 640, 480],
        "class_animal": "id1",
        "id_animal": "species1",
        "probability": 0.8,
        "mask": None,
        "is_cetacean": True,
        "cetacean_score": 0.9877,
        "rejected": False,
        "rejection_reason": None,
        "model_version": "1.0.0",
        "candidates": [
            {"class_animal": "id2", "id_animal": "species2", "probability": 0.1235},
            {"class_animal": "id3", "id_animal": "species3", "probability": 0.05},
            {"class_animal": "id4", "id_animal": "species4", "probability": 0.02},
            {"class_animal": "id5", "id_animal": "species5", "probability": 0.005},
        ],
    }


def test_the_fields_have_the_order_of_the_contract() -> None:
    assert list(answer(0.9, ranked(0.8)).model_dump()) == FIELDS
    assert list(Detection.model_fields) == FIELDS


def test_a_score_below_the_threshold_is_rejected_without_an_individual() -> None:
    found = answer(0.5199, ranked(0.8, 0.1))
    assert (found.class_animal, found.id_animal, found.probability) == ("", "unknown", 0.0)
    assert (found.is_cetacean, found.rejected, found.candidates) == (False, True, ())
    assert found.rejection_reason is RejectionReason.NOT_A_MARINE_MAMMAL
    assert found.cetacean_score == 0.5199


def test_an_accepted_picture_without_a_ranking_has_no_individual() -> None:
    found = answer(0.9, ())
    assert (found.class_animal, found.id_animal, found.probability) == ("", "unknown", 0.0)
    assert found.rejection_reason is RejectionReason.LOW_CONFIDENCE


def test_the_box_of_a_picture_that_cannot_be_decoded_is_the_whole_picture() -> None:
    assert corrupted(image_ind="a.jpg", size=(640, 480), model_version="1.0.0").bbox == (0, 0, 640, 480)


def test_a_score_at_the_threshold_is_accepted() -> None:
    assert answer(0.52, ranked(0.8)).is_cetacean


def test_scores_are_compared_before_they_are_rounded() -> None:
    assert not answer(0.519999, ranked(0.8)).is_cetacean
    assert answer(0.9, ranked(0.049999)).rejected


def test_an_answer_of_low_confidence_contains_the_likeliest_individual() -> None:
    found = answer(0.9, ranked(0.0499, 0.04))
    assert found.rejection_reason is RejectionReason.LOW_CONFIDENCE
    assert (found.is_cetacean, found.rejected) == (True, True)
    assert (found.class_animal, found.id_animal, found.probability) == ("id1", "species1", 0.0499)
    assert [one.class_animal for one in found.candidates] == ["id2"]


def test_a_probability_of_five_percent_is_not_low_confidence() -> None:
    assert not answer(0.9, ranked(0.05)).rejected


@given(unit, rankings)
def test_a_threshold_of_zero_accepts_every_picture(score: float, ranking: tuple[Candidate, ...]) -> None:
    found = answer(score, ranking, threshold=0.0)
    assert found.is_cetacean
    assert found.rejection_reason is not RejectionReason.NOT_A_MARINE_MAMMAL


@given(unit, rankings, unit)
def test_invariants_of_every_answer(score: float, ranking: tuple[Candidate, ...], threshold: float) -> None:
    found = answer(score, ranking, threshold=threshold)
    assert found.rejected == (found.rejection_reason is not None)
    assert found.is_cetacean == (score >= threshold)
    assert found.is_cetacean or found.rejected
    assert len(found.candidates) <= 4
    assert found.mask is None
    for figure in (found.cetacean_score, found.probability, *(one.probability for one in found.candidates)):
        assert figure == round(figure, 4)
        assert 0 <= figure <= 1
    assert Detection.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        answer(bad, ranked(0.8), threshold=0.0)
    with pytest.raises(ValueError, match="finite"):
        answer(0.9, ranked(bad))


def test_the_answer_for_a_corrupted_picture() -> None:
    found = corrupted(image_ind="b.jpg", size=(0, 0), model_version="1.0.0")
    assert found.rejected
    assert found.rejection_reason is RejectionReason.CORRUPTED_IMAGE
    assert (found.class_animal, found.id_animal, found.probability, found.cetacean_score) == ("", "unknown", 0.0, 0.0)
    assert not found.is_cetacean
