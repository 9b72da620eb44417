"""A hotfix is promoted early, and its review is due afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.approvals import approval
from support.operator_world import BEGIN, model

from cetacean_operator.api.approval_policy import ApprovalPolicy
from cetacean_operator.api.model_approval import Approval, Approvals
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import GivenApproval, HistoryEntry, Release
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.hotfix_review import HotfixReview, judge_hotfix_review
from cetacean_operator.decisions.identity import definition

HOTFIX = model("second", "b", version="1.0.1", hotfix=True, metricsSnapshot="reports/second.json")
DAY = 24 * 3600.0


def promoted(
    one: Model = HOTFIX, *approvers: str, change: str = "Patch", type_: str = "Hotfix", at: datetime = BEGIN
) -> HistoryEntry:
    given_ = tuple(GivenApproval(name=who, kind="Review", approver=who, at=timestamp(at)) for who in approvers)
    return HistoryEntry(
        model=one.name,
        version=one.version,
        digest=one.sha256,
        definition=definition(one),
        weights_url=one.weights_url,
        at=timestamp(at),
        reason="GatePassed",
        why="because",
        release=Release(type=type_, change=change, approvals=given_),
    )


def judged(
    *history: HistoryEntry,
    approvals: tuple[Approval, ...] = (),
    after: float = 0.0,
    target: Model | None = HOTFIX,
    **policy: Any,
) -> HotfixReview:
    return judge_hotfix_review(
        target=target,
        history=history,
        policy=ApprovalPolicy.model_validate(policy),
        approvals=Approvals(approvals),
        now=BEGIN + timedelta(seconds=after),
    )


ALICE, BOB = approval("alice"), approval("bob")


def test_the_clock_starts_with_the_promotion() -> None:
    fresh = judged(promoted(HOTFIX, "alice"), approvals=(ALICE,))
    assert fresh.condition[:2] == ("False", "ReviewPending")
    assert "is due at 2026-01-02T00:00:00Z" in fresh.condition.message
    assert fresh.requeue_after == DAY


def test_what_is_missing_is_named_until_and_after_the_time_is_over() -> None:
    text = (
        "second 1.0.1 was promoted as a hotfix at 2026-01-01T00:00:00Z; its review {} due at 2026-01-02T00:00:00Z, "
        "missing: 1 of 1 reviews, a review by a person who did not review it before the promotion"
    )
    pending = ConditionState("False", "ReviewPending", text.format("is"))
    assert judged(promoted(), after=DAY - 1) == HotfixReview(pending, 1.0)
    late = ConditionState("True", "ReviewMissing", text.format("was"))
    assert judged(promoted(), after=DAY) == HotfixReview(late)


def test_a_late_review_is_said_and_a_later_approval_clears_it() -> None:
    late = judged(promoted(HOTFIX, "alice"), approvals=(ALICE,), after=DAY)
    assert late.condition[:2] == ("True", "ReviewMissing")
    assert "was due at 2026-01-02T00:00:00Z" in late.condition.message
    assert "a review by a person who did not review it before the promotion" in late.condition.message
    assert late.requeue_after is None
    cleared = judged(promoted(HOTFIX, "alice"), approvals=(ALICE, BOB), after=3 * DAY)
    assert cleared.condition == (
        "False",
        "Reviewed",
        "second 1.0.1 was promoted as a hotfix at 2026-01-01T00:00:00Z and is reviewed: Review by alice, Review by bob",
    )
    assert cleared.requeue_after is None


def test_the_review_asks_for_what_the_version_alone_would_have_asked_for() -> None:
    major = promoted(HOTFIX, "alice", change="Major")
    assert judged(major, approvals=(ALICE, BOB)).condition.message.endswith("missing: QA by hand")
    qa = approval("bob", kind="QA")
    assert judged(major, approvals=(ALICE, BOB, qa), after=2 * DAY).condition.reason == "Reviewed"


@pytest.mark.parametrize(("change", "needed"), [("Patch", 3), ("Minor", 4), ("Major", 5), ("unheard of", 5)])
def test_the_review_asks_for_as_many_persons_as_the_change_and_for_most_if_it_is_unknown(
    change: str, needed: int
) -> None:
    policy: dict[str, Any] = {
        "patch": {"approvals": 3},
        "minor": {"approvals": 4},
        "major": {"approvals": 5, "qa": False},
    }
    found = judged(promoted(HOTFIX, "alice", change=change), approvals=(ALICE, BOB), **policy).condition
    assert found.message.endswith(f", missing: {needed - 2} of {needed} reviews")


def test_the_time_is_a_field() -> None:
    assert judged(promoted(), hotfix={"reviewWithinSeconds": 60}, after=59).condition.status == "False"
    assert judged(promoted(), hotfix={"reviewWithinSeconds": 60}, after=60).condition.status == "True"


def test_only_a_hotfix_has_a_clock() -> None:
    for found in (
        judged(promoted(type_="Patch"), after=2 * DAY),
        judged(promoted(model("other", "c")), after=2 * DAY),
        judged(),
        judged(promoted(), target=None),
    ):
        assert found == HotfixReview(ConditionState("False", "NoHotfix", "the model in the Deployment is no hotfix"))


def test_going_and_coming_back_does_not_restart_the_clock() -> None:
    first = promoted(HOTFIX, "alice")
    away = promoted(model("other", "c"), at=BEGIN + timedelta(hours=1))
    back = promoted(HOTFIX, at=BEGIN + timedelta(hours=2)).model_copy(update={"release": None})
    assert judged(back, away, first, after=DAY).condition.status == "True"


def test_a_time_that_cannot_be_read_is_late() -> None:
    broken = promoted().model_copy(update={"at": "yesterday"})
    assert judged(broken).condition[:2] == ("True", "ReviewMissing")


@pytest.mark.parametrize("kind", ["Review", "Override"])
def test_the_same_person_may_answer_for_it_in_another_kind_only_by_override(kind: str) -> None:
    again = approval("alice", kind=kind, reason="nobody else is awake")
    found = judged(promoted(HOTFIX, "alice"), approvals=(ALICE, again), after=DAY).condition
    assert found.status == ("True" if kind == "Review" else "False")


@given(st.integers(-100_000, 200_000), st.lists(st.sampled_from(["alice", "bob", "carol"]), max_size=3))
def test_it_is_late_exactly_if_the_time_is_over_and_nobody_else_reviewed(after: int, who: list[str]) -> None:
    found = judged(
        promoted(HOTFIX, "alice"), approvals=tuple(approval(name) for name in ("alice", *who)), after=float(after)
    )
    late = after >= DAY and not set(who) - {"alice"}
    assert (found.condition.status == "True") == late
    assert (found.requeue_after is None) == (late or bool(set(who) - {"alice"}))


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "x"])
def test_a_promotion_at_a_time_that_nobody_can_read_is_to_be_reviewed_now(at: str) -> None:
    found = judged(promoted().model_copy(update={"at": at}))
    assert found.condition[:2] == ("True", "ReviewMissing")
    assert "its review was due at an unknown time" in found.condition.message
    assert found.requeue_after is None
