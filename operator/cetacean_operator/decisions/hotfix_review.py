"""The condition HotfixReviewOverdue: a hotfix is promoted early, and must be reviewed within the time that is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cetacean_operator.api.approval_policy import ApprovalPolicy, Requirement
from cetacean_operator.api.model_approval import Approvals
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HistoryEntry
from cetacean_operator.api.timestamps import time_after, timestamp
from cetacean_operator.decisions.approval import counted_approvals, describe_approvals, missing_of
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.lineage import same_model


@dataclass(frozen=True, slots=True)
class HotfixReview:
    """The condition, and when time alone changes it."""

    condition: ConditionState
    requeue_after: float | None = None
    """Seconds."""


def judge_hotfix_review(
    *,
    target: Model | None,
    history: tuple[HistoryEntry, ...],
    policy: ApprovalPolicy,
    approvals: Approvals,
    now: datetime,
) -> HotfixReview:
    """Judge if the model that is to serve is a hotfix whose review is late.

    The review is complete if the hotfix has what its version asks for without being a hotfix, and one review more than
    it was promoted with.

    Args:
        target: the model that is to serve; None if none is.
        history: promotions, newest first. A hotfix that went and came back keeps its first time.
        policy: spec.approval.
        approvals: all approvals of the resource.
        now: the time, aware of its zone.
    """
    promotion = _promotion_as_hotfix(target, history)
    if target is None or promotion is None:
        return HotfixReview(ConditionState("False", "NoHotfix", "the model in the Deployment is no hotfix"))
    missing = tuple(_missing(target, promotion, policy, approvals))
    begin = f"{label(target)} was promoted as a hotfix at {promotion.at}"
    if not missing:
        given = describe_approvals(counted_approvals(target, policy, approvals))
        return HotfixReview(ConditionState("False", "Reviewed", f"{begin} and is reviewed: {given}"))
    due = time_after(promotion.at, policy.hotfix.review_within_seconds)
    left = (due - now).total_seconds() if due else 0.0
    when = f"{'is' if left > 0 else 'was'} due at {timestamp(due) if due else 'an unknown time'}"
    text = f"{begin}; its review {when}, missing: {', '.join(missing)}"
    if left <= 0:
        return HotfixReview(ConditionState("True", "ReviewMissing", text))
    return HotfixReview(ConditionState("False", "ReviewPending", text), left)


def _promotion_as_hotfix(target: Model | None, history: tuple[HistoryEntry, ...]) -> HistoryEntry | None:
    """Return the first promotion of the model's weights as a hotfix."""
    if target is None:
        return None
    found = (entry for entry in reversed(history) if same_model(entry, target))
    return next((entry for entry in found if entry.release and entry.release.type == "Hotfix"), None)


def _missing(target: Model, promotion: HistoryEntry, policy: ApprovalPolicy, approvals: Approvals) -> Iterator[str]:
    release = promotion.release
    requirements: Mapping[str, Requirement] = {"Patch": policy.patch, "Minor": policy.minor}
    needed = requirements.get(release.change if release else "", policy.major)
    yield from missing_of(needed, candidate=target, policy=policy, approvals=approvals)
    before = {(given.kind, given.approver) for given in release.approvals} if release else set()
    later = (
        approval.spec
        for approval in counted_approvals(target, policy, approvals)
        if approval.spec.kind in ("Review", "Override")
    )
    if all((spec.kind, spec.approver) in before for spec in later):
        yield "a review by a person who did not review it before the promotion"
