"""The list of disagreements: both answers, within a bound of items and of bytes."""

from __future__ import annotations

import json

from cetacean_inference.shadow.answers import Answer
from cetacean_inference.shadow.disagreements import MAX_LISTED, MAX_LISTED_BYTES, Disagreements

ORCA = Answer(accepted=True, species="orca", individual="a", score=9123, probability=8000, compute_us=10)
BELUGA = Answer(accepted=True, species="beluga", individual="b", score=9123, probability=7001, compute_us=10)


def test_both_answers_are_listed_as_clients_get_them() -> None:
    listed = Disagreements()
    listed.add("d1", ORCA, BELUGA)
    assert listed.report() == [
        {
            "image_sha256": "d1",
            "served": {"accepted": True, "species": "orca", "individual": "a", "score": 0.9123, "probability": 0.8},
            "candidate": {
                "accepted": True,
                "species": "beluga",
                "individual": "b",
                "score": 0.9123,
                "probability": 0.7001,
            },
        }
    ]


def test_the_oldest_go_if_there_are_too_many() -> None:
    listed = Disagreements()
    for number in range(MAX_LISTED + 3):
        listed.add(f"d{number}", ORCA, BELUGA)
    assert [one["image_sha256"] for one in listed.report()] == [f"d{number}" for number in range(3, MAX_LISTED + 3)]


def test_long_names_are_cut_and_the_bytes_of_the_list_are_bounded() -> None:
    long = Answer(accepted=True, species="\U0001f40b" * 999, individual="x" * 999, score=1, probability=1, compute_us=1)
    listed = Disagreements()
    for number in range(MAX_LISTED):
        listed.add(f"d{number}", long, long)
    found = listed.report()
    assert len(json.dumps(found, ensure_ascii=False).encode()) <= MAX_LISTED_BYTES + 2 * MAX_LISTED
    assert 50 < len(found) < MAX_LISTED
    assert found[-1]["image_sha256"] == f"d{MAX_LISTED - 1}"
    assert len(found[0]["served"]["species"]) == len(found[0]["candidate"]["individual"]) == 256


def test_a_picture_is_listed_once_and_a_cleared_list_has_room_again() -> None:
    listed = Disagreements()
    listed.add("d1", ORCA, ORCA)
    listed.add("d1", ORCA, BELUGA)
    assert [one["candidate"]["species"] for one in listed.report()] == ["beluga"]
    listed.clear()
    assert listed.report() == []
