"""Events about a candidate that runs stages: one for each transition, and none while nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from cetacean_operator.api.candidate import CandidateStatus, PassedStage, StageKind
from cetacean_operator.api.status import Condition, Status
from cetacean_operator.decisions.candidate_events import candidate_events
from cetacean_operator.decisions.plan import EventSpec

AT = "2026-01-01T00:00:00Z"
FIRST_BEGINS = EventSpec("Normal", "StageBegan", "second 1.0.0 begins stage 1 of 2 (Shadow)", "Stage")
FIRST_PASSED = EventSpec("Normal", "StagePassed", "second 1.0.0 passed stage 1 of 2 (Shadow): as good", "Stage")
SECOND_BEGINS = EventSpec("Normal", "StageBegan", "second 1.0.0 begins stage 2 of 2 (Canary)", "Stage")
SECOND_PASSED = EventSpec("Normal", "StagePassed", "second 1.0.0 passed stage 2 of 2 (Canary): as fast", "Stage")


def status(*passed: str, diverged: str | None = "StagesRunning", **changes: Any) -> Status:
    """Return a status whose candidate `second` has passed stages with these messages, and runs the next one of two."""
    kinds: tuple[StageKind, ...] = ("Shadow", "Canary")
    number = len(passed)
    fields: dict[str, Any] = {
        "model": "second",
        "version": "1.0.0",
        "rollout": "r1",
        "stage": number + 1 if number < 2 else None,
        "stages": 2,
        "kind": kinds[number] if number < 2 else None,
        "verdict": "Running",
        "message": "it waits",
        "passed": tuple(
            PassedStage(kind=kind, digest="0" * 16, at=AT, message=message)
            for kind, message in zip(kinds, passed, strict=False)
        ),
    }
    condition = Condition(
        type="RegistryDiverged",
        status="True",
        reason=diverged or "-",
        last_transition_time=AT,
        observed_generation=1,
    )
    return Status(candidate=CandidateStatus(**fields | changes), conditions=(condition,) if diverged else ())


def held(verdict: str = "Disagrees", message: str = "too few agree") -> Status:
    return status(diverged="CandidateHeld", verdict=verdict, message=message)


def returned(verdict: str = "Disagrees", message: str = "too few agree") -> Status:
    return status(diverged="CandidateReturned", stage=None, kind=None, verdict=verdict, message=message)


@pytest.mark.parametrize(
    ("last", "following", "expected"),
    [
        (Status(), status(), [FIRST_BEGINS]),
        (status(), status(), []),
        (status(), status(message="10 pictures"), []),
        (status(), status("as good"), [FIRST_PASSED, SECOND_BEGINS]),
        (status("as good"), status("as good"), []),
        (status("as good"), status("as good", "as fast"), [SECOND_PASSED]),
        (status(), status("as good", "as fast"), [FIRST_PASSED, SECOND_PASSED]),
        (status("as good"), status(), [FIRST_BEGINS]),
        (status(stage=None), status(), [FIRST_BEGINS]),
        (status(), Status(), []),
    ],
    ids=[
        "it begins",
        "nothing changes",
        "figures come",
        "it passes one",
        "it has passed one",
        "it passes the last one",
        "it passes two at once",
        "a changed stage runs again",
        "it was approved",
        "it is gone",
    ],
)
def test_each_begin_and_end_of_a_stage_is_an_event(last: Status, following: Status, expected: list[EventSpec]) -> None:
    assert list(candidate_events(last, following)) == expected


@pytest.mark.parametrize("before", [{"model": "other"}, {"rollout": "r0"}], ids=["another model", "another rollout"])
def test_the_stages_of_another_candidate_say_nothing_about_this_one(before: dict[str, str]) -> None:
    assert list(candidate_events(status("as good", **before), status("as good"))) == [FIRST_PASSED, SECOND_BEGINS]


def warning(reason: str, text: str) -> EventSpec:
    return EventSpec("Warning", reason, f"second 1.0.0: {text}", "Stage")


HELD = warning("CandidateHeld", "Disagrees: too few agree")
RETURNED = warning("CandidateReturned", "Disagrees: too few agree")


@pytest.mark.parametrize(
    ("last", "following", "expected"),
    [
        (status(), held(), [HELD]),
        (Status(), held(), [HELD]),
        (held(), held(), []),
        (held(message="few agree"), held(), []),
        (held("Inconclusive"), held(), [HELD]),
        (status(diverged=None), returned(), [RETURNED]),
        (held(), returned(), [RETURNED]),
        (returned(), returned(), []),
        (returned("Aborted"), returned(), [RETURNED]),
        (status(model="other", diverged="CandidateReturned", verdict="Disagrees"), returned(), [RETURNED]),
    ],
    ids=[
        "held",
        "held when first seen",
        "still held",
        "held with newer figures",
        "held for another reason",
        "removed",
        "removed after it was held",
        "still removed",
        "removed for another reason",
        "removed as the one before it",
    ],
)
def test_a_candidate_that_needs_a_person_is_one_warning(
    last: Status, following: Status, expected: list[EventSpec]
) -> None:
    assert list(candidate_events(last, following)) == expected


def test_a_held_stage_that_begins_again_says_so_only_if_the_stage_is_another() -> None:
    assert list(candidate_events(held(), status())) == []
    assert list(candidate_events(held(), status("as good"))) == [FIRST_PASSED, SECOND_BEGINS]
