"""Judge a candidate that has never served: by the gate, and by what spec.approval asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.model_approval import Approvals
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import GivenApproval, Release
from cetacean_operator.decisions.approval import ApprovalVerdict, judge_approval
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_registry.gate import judge

PASSED, GATE_SKIPPED = "GatePassed", "GateSkipped"
_RECORDED = 32
"""Approvals of one promotion that the history keeps."""
_FIGURES = 64


@dataclass(frozen=True, slots=True)
class CandidateVerdict:
    """The gate and the approvals of one candidate."""

    gate: ConditionState
    """The condition GatePassed."""
    approved: ConditionState | None = None
    """The condition Approved; None without spec.approval."""
    release: Release | None = None
    """For the history; None without spec.approval."""
    skips_stages: bool = False
    """True for a hotfix that runs no stages."""

    @property
    def may_start(self) -> bool:
        """True if the candidate may serve clients, after its stages."""
        return self.passed_gate and self.is_approved

    @property
    def is_approved(self) -> bool:
        """True if no approval is missing."""
        return self.approved is None or self.approved.status == "True"

    @property
    def passed_gate(self) -> bool:
        """True if the gate lets it pass, or is skipped for a hotfix."""
        return self.gate.status == "True" or self.gate.reason == GATE_SKIPPED


def judge_candidate(
    candidate: Model, serving: Model | None, *, spec: Spec, history: ServingHistory, approvals: Approvals
) -> CandidateVerdict:
    """Judge a candidate beside the model that served last; None if none has."""
    if spec.approval is None:
        return CandidateVerdict(judge_gate(candidate, serving, spec, history))
    verdict = judge_approval(candidate, serving=serving, policy=spec.approval, approvals=approvals)
    return CandidateVerdict(
        judge_gate(candidate, serving, spec, history, skip=verdict.skips_gate),
        _approved(verdict, approvals),
        _release(candidate, verdict),
        verdict.skips_stages,
    )


def judge_gate(
    candidate: Model, serving: Model | None, spec: Spec, history: ServingHistory, *, skip: bool = False
) -> ConditionState:
    """Return the condition GatePassed for a candidate beside the model that serves.

    A deprecated model is refused even if the gate is skipped.
    """
    if candidate.deprecated:
        message = f"{candidate.name} is refused: the registry says that it is deprecated"
        return ConditionState("False", names.GATE_REFUSED, message)
    if skip:
        message = f"{label(candidate)} is a hotfix, and spec.approval.hotfix.skip names Gate: no figure was compared"
        return ConditionState("Unknown", GATE_SKIPPED, message)
    verdict = judge(
        candidate=candidate.name,
        metrics=candidate.metrics,
        policy=spec.gates,
        serving=serving.name if serving else None,
        serving_metrics=history.metrics(serving) if serving else None,
    )
    if verdict.passed:
        return ConditionState("True", PASSED, verdict.message)
    return ConditionState("False", names.GATE_REFUSED, verdict.message)


def _approved(verdict: ApprovalVerdict, approvals: Approvals) -> ConditionState:
    if verdict.approved:
        return ConditionState("True", "Approved", verdict.message)
    reason = names.APPROVALS_UNREADABLE if approvals.unreadable else names.APPROVAL_MISSING
    return ConditionState("False", reason, verdict.message)


def _release(candidate: Model, verdict: ApprovalVerdict) -> Release:
    metrics = candidate.metrics
    figures = dict(list(_flat(metrics.model_dump(by_alias=True)))[:_FIGURES]) if metrics else None
    return Release(
        type=verdict.release,
        change=verdict.change,
        approvals=tuple(
            GivenApproval(
                name=approval.name,
                kind=approval.spec.kind,
                approver=approval.spec.approver,
                at=approval.at,
                evidence=approval.spec.evidence,
                reason=approval.spec.reason,
            )
            for approval in verdict.given[:_RECORDED]
        ),
        figures=figures,
        evaluation_set=metrics.evaluation_set if metrics else None,
        metrics_snapshot=candidate.metrics_snapshot,
    )


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a model's metrics with their paths; lists are left out."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", value
