"""Decide if a candidate has the approvals that its type of release needs, and what is missing.

Approvals count by person and kind, and only for the very weights that the registry entry names, and for how it uses
them: other classes, or another size of pictures, give other answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cetacean_operator.api.approval_policy import ApprovalPolicy, ReleaseType, Requirement, VersionChange
from cetacean_operator.api.model_approval import Approval, ApprovalKind, Approvals
from cetacean_operator.api.spec import Model
from cetacean_operator.decisions.identity import definition, label
from cetacean_operator.decisions.release_type import release_type, version_change

_SHOWN = 8
"""Persons that a message names."""


@dataclass(frozen=True, slots=True)
class ApprovalVerdict:
    """A candidate beside what its type of release needs."""

    release: ReleaseType
    change: VersionChange
    """By the versions alone; a hotfix is reviewed by it afterwards."""
    given: tuple[Approval, ...]
    """The approvals that count, oldest first."""
    missing: tuple[str, ...]
    """What is missing, in words."""
    message: str
    skips_gate: bool = False
    skips_stages: bool = False

    @property
    def approved(self) -> bool:
        """True if nothing is missing."""
        return not self.missing


def judge_approval(
    candidate: Model, *, serving: Model | None, policy: ApprovalPolicy, approvals: Approvals
) -> ApprovalVerdict:
    """Compare the approvals of a candidate that has never served with what the policy asks for.

    Args:
        candidate: the registry entry.
        serving: the model that has served last; None if none has.
        policy: spec.approval.
        approvals: all approvals of the resource, for whatever weights.
    """
    release, change = release_type(candidate, serving), version_change(candidate, serving)
    counted = counted_approvals(candidate, policy, approvals)
    missing = missing_of(policy.requirement(release), candidate=candidate, policy=policy, approvals=approvals)
    beside = f"before it: {label(serving)}" if serving else "no model has served before it"
    begin = f"{label(candidate)} is a {release.lower()} release ({beside})"
    parts = [f"missing: {', '.join(missing)}" if missing else "nothing is missing"]
    if counted:
        parts.append(f"given: {describe_approvals(counted)}")
    parts += _not_counted(candidate, policy, approvals, counted)
    return ApprovalVerdict(
        release=release,
        change=change,
        given=counted,
        missing=missing,
        message=f"{begin}; {'; '.join(parts)}",
        skips_gate=release == "Hotfix" and "Gate" in policy.hotfix.skip,
        skips_stages=release == "Hotfix" and "Stages" in policy.hotfix.skip,
    )


def counted_approvals(candidate: Model, policy: ApprovalPolicy, approvals: Approvals) -> tuple[Approval, ...]:
    """Return the approvals for a candidate, the oldest of each person and kind."""
    if approvals.unreadable:
        return ()
    found: dict[tuple[ApprovalKind, str], Approval] = {}
    for approval in sorted(approvals.given, key=lambda one: (one.at, one.name)):
        spec = approval.spec
        is_excluded = policy.exclude_author and spec.approver == candidate.author
        if is_about(approval, candidate) and not is_excluded:
            found.setdefault((spec.kind, spec.approver), approval)
    return tuple(found.values())


def is_about(approval: Approval, candidate: Model) -> bool:
    """Return whether an approval is for a candidate: for its weights, and for how they are used if it says so."""
    spec = approval.spec
    is_same = (spec.candidate, spec.digest) == (candidate.name, candidate.sha256)
    return is_same and spec.definition in (None, definition(candidate))


def missing_of(
    needed: Requirement, *, candidate: Model, policy: ApprovalPolicy, approvals: Approvals
) -> tuple[str, ...]:
    """Return what a candidate lacks of a requirement, in words."""
    counted = counted_approvals(candidate, policy, approvals)
    is_author_known = candidate.author is not None or not policy.exclude_author
    if is_author_known and any(approval.spec.kind == "Override" for approval in counted):
        return ()
    return (*_missing_persons(needed, candidate, policy, approvals, counted), *_missing_figures(needed, candidate))


def describe_approvals(given: tuple[Approval, ...]) -> str:
    """Return kinds and persons, e.g. `Review by alice, QA by bob`."""
    shown = [f"{approval.spec.kind} by {approval.spec.approver}" for approval in given[:_SHOWN]]
    more = len(given) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _missing_persons(
    needed: Requirement,
    candidate: Model,
    policy: ApprovalPolicy,
    approvals: Approvals,
    counted: tuple[Approval, ...],
) -> Iterator[str]:
    if not needed.approvals and not needed.qa:
        return
    if candidate.sha256 is None:
        yield "a sha256 in the registry entry, because approvals are bound to it"
    if policy.exclude_author and candidate.author is None:
        yield "an author in the registry entry, because spec.approval.excludeAuthor is true"
    if approvals.unreadable:
        yield f"the right to read ModelApprovals ({approvals.unreadable})"
    reviews = sum(approval.spec.kind == "Review" for approval in counted)
    if reviews < needed.approvals:
        yield f"{needed.approvals - reviews} of {needed.approvals} reviews"
    if needed.qa and not any(approval.spec.kind == "QA" for approval in counted):
        yield "QA by hand"


def _missing_figures(needed: Requirement, candidate: Model) -> Iterator[str]:
    if needed.metrics != "Required":
        return
    metrics = candidate.metrics
    if candidate.metrics_snapshot is None:
        yield "metricsSnapshot in the registry entry"
    for field, value in (
        ("sampleSize", metrics.sample_size if metrics else None),
        ("evaluationSet", metrics.evaluation_set if metrics else None),
    ):
        if value is None:
            yield f"metrics.{field} in the registry entry"


def _not_counted(
    candidate: Model, policy: ApprovalPolicy, approvals: Approvals, counted: tuple[Approval, ...]
) -> Iterator[str]:
    """Say why approvals that somebody gave do not count."""
    if policy.exclude_author and any(
        is_about(approval, candidate) and approval.spec.approver == candidate.author for approval in approvals.given
    ):
        yield f"{candidate.author} wrote the entry and cannot approve it"
    others = {
        approval.spec.approver
        for approval in approvals.given
        if approval.spec.candidate == candidate.name and not is_about(approval, candidate)
    } - {approval.spec.approver for approval in counted}
    if others:
        yield f"not counted, because they are about other weights or another definition: {len(others)}"
