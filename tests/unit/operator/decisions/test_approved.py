"""The condition Approved: as the promotion recorded it, or why the active model needs no approval."""

from __future__ import annotations

import pytest
from support.operator_world import model

from cetacean_operator.api.status import GivenApproval, HistoryEntry, Release
from cetacean_operator.decisions.approved import approved_condition
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import definition
from cetacean_operator.decisions.promotion import Choice

ACTIVE = model("second", "b", version="1.0.1")
AT = "2026-01-01T00:00:00Z"
CHOICE = Choice(ACTIVE, ConditionState("True", "GatePassed", "second passes"))
MISSING = ConditionState("False", "ApprovalMissing", "missing: 1 of 1 reviews")
SERVED_BEFORE = ConditionState("True", "ServedBefore", "second 1.0.1 has served before: it needs no approval")
PROMOTED_BEFORE = ConditionState(
    "True", "PromotedBefore", "second 1.0.1 was rolled out without an approval, and goes on"
)


def promotion(release: Release | None, *, digit: str = "b", reason: str = "GatePassed") -> HistoryEntry:
    return HistoryEntry(
        model="second",
        version="1.0.1",
        digest=digit * 64,
        definition=definition(ACTIVE),
        weights_url=ACTIVE.weights_url,
        at=AT,
        reason=reason,
        why="because",
        release=release,
    )


def given(kind: str, who: str) -> GivenApproval:
    return GivenApproval(name=who, kind=kind, approver=who, at=AT)


@pytest.mark.parametrize(
    ("release", "text"),
    [
        (
            Release(type="Minor", change="Minor", approvals=(given("Review", "alice"), given("QA", "bob"))),
            "a minor release at 2026-01-01T00:00:00Z; given: Review by alice, QA by bob",
        ),
        (
            Release(type="Hotfix", change="Patch"),
            "a hotfix release at 2026-01-01T00:00:00Z; given: no approval",
        ),
    ],
    ids=["two approvals", "none was needed"],
)
def test_a_promoted_model_names_its_release_and_who_approved_it(release: Release, text: str) -> None:
    history = (promotion(release), promotion(None, digit="c"))
    assert approved_condition(ACTIVE, CHOICE, history) == ConditionState(
        "True", "Approved", f"second 1.0.1 was promoted as {text}"
    )


def test_a_candidate_that_waits_repeats_what_is_missing_whatever_was_promoted_before() -> None:
    waits = Choice(None, CHOICE.gate, approved=MISSING)
    release = Release(type="Patch", change="Patch")
    for history in ((), (promotion(release, digit="c"), promotion(release))):
        assert approved_condition(ACTIVE, waits, history) == MISSING


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ((promotion(None, reason="ServedBefore"),), SERVED_BEFORE),
        ((promotion(None, reason="Adopted"),), PROMOTED_BEFORE),
        ((promotion(None, digit="c", reason="ServedBefore"),), PROMOTED_BEFORE),
        ((), PROMOTED_BEFORE),
    ],
    ids=["came back", "adopted", "another came back", "no history"],
)
def test_a_model_that_serves_without_an_approval_says_why(
    history: tuple[HistoryEntry, ...], expected: ConditionState
) -> None:
    assert approved_condition(ACTIVE, CHOICE, history) == expected
