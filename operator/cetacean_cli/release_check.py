"""Compute what a change of the registry's file needs to be merged, by the rules of spec.approval; without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from cetacean_cli.errors import BadInputError
from cetacean_cli.yaml_file import read_yaml
from cetacean_operator.api.approval_policy import ApprovalPolicy
from cetacean_operator.api.model_approval import Approval, ApprovalKind, Approvals, ModelApprovalSpec
from cetacean_operator.api.names import KIND
from cetacean_operator.api.spec import InvalidResourceError, Model, parse_spec
from cetacean_operator.decisions.approval import describe_approvals, judge_approval
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.lineage import same_model
from cetacean_registry.figures import ModelMetrics
from cetacean_registry.gate import judge
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import ModelEntry, Registry


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """The rules that hold."""

    approval: ApprovalPolicy
    gates: GatePolicy


@dataclass(frozen=True, slots=True)
class ReleaseCheck:
    """The type of a release, what it has and what it lacks."""

    summary: str
    release: str | None = None
    """None if the change is no release."""
    present: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the result as programs read it."""
        return {
            "release": self.release,
            "summary": self.summary,
            "present": list(self.present),
            "missing": list(self.missing),
        }


def policy_of(manifest: Path | None) -> ReleasePolicy:
    """Return the rules of a CetaceanModel's manifest; the playbook's if there is none, or if it has no spec.approval.

    Raises:
        BadInputError: the file is no manifest of a CetaceanModel.
    """
    if manifest is None:
        return ReleasePolicy(ApprovalPolicy(), GatePolicy())
    content = read_yaml(manifest)
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise BadInputError(f"{manifest}: expected one manifest of a {KIND}")
    try:
        spec = parse_spec(content.get("spec"))
    except InvalidResourceError as error:
        raise BadInputError(f"{manifest}: spec: {error}") from error
    return ReleasePolicy(spec.approval or ApprovalPolicy(), spec.gates)


def check_release(
    *,
    before: Registry,
    after: Registry,
    metrics: Callable[[ModelEntry], ModelMetrics | None],
    metrics_before: Callable[[ModelEntry], ModelMetrics | None],
    policy: ReleasePolicy,
    review: Sequence[str] = (),
    qa: Sequence[str] = (),
) -> ReleaseCheck:
    """Compare the active models of two states of the registry's file.

    Args:
        before: the file before the change.
        after: the file with the change.
        metrics: returns the figures of an entry of `after`.
        metrics_before: returns the figures of an entry of `before`, as they were then.
        policy: the rules.
        review: the persons who have approved the change.
        qa: the persons who have tested the model by hand.
    """
    old, new = before.active_model, after.active_model
    if same_model(old, new):
        return ReleaseCheck(f"no release: {new.name} {new.version} is active before and after the change")
    serving = _model(old, None)
    if _is_rollback(before, new):
        return ReleaseCheck(f"a rollback from {label(serving)} to {label(_model(new, None))}: it needs no approval")
    candidate = _model(new, metrics(new))
    approvals = _approvals(candidate, review, qa)
    verdict = judge_approval(candidate, serving=serving, policy=policy.approval, approvals=approvals)
    present, missing = [], list(verdict.missing)
    if verdict.given:
        present.append(describe_approvals(verdict.given))
    if candidate.deprecated:
        missing.append(f"a model that the registry does not call deprecated, as it does {candidate.name}")
    elif not verdict.skips_gate:
        gate = judge(
            candidate=candidate.name,
            metrics=candidate.metrics,
            policy=policy.gates,
            serving=old.name,
            serving_metrics=_serving_metrics(old, after, metrics, metrics_before),
        )
        (present if gate.passed else missing).append(gate.message)
    summary = f"{label(candidate)} is a {verdict.release.lower()} release after {label(serving)}"
    return ReleaseCheck(summary, verdict.release, tuple(present), tuple(missing))


def _serving_metrics(
    old: ModelEntry,
    after: Registry,
    metrics: Callable[[ModelEntry], ModelMetrics | None],
    metrics_before: Callable[[ModelEntry], ModelMetrics | None],
) -> ModelMetrics | None:
    """Return the figures with which the operator compares: the present ones of the model that serves, else its last.

    The change may have removed its entry, or given its name to other weights.
    """
    listed = next((entry for entry in after.models if same_model(entry, old)), None)
    present = metrics(listed) if listed else None
    return metrics_before(old) if present is None else present


def _is_rollback(before: Registry, new: ModelEntry) -> bool:
    """Return whether the same model stood before the active entry: entries are appended, so it is the newer one."""
    older = takewhile(lambda entry: not same_model(entry, before.active_model), before.models)
    return any(same_model(entry, new) for entry in older)


def _model(entry: ModelEntry, metrics: ModelMetrics | None) -> Model:
    fields = {field: getattr(entry, field) for field in ModelEntry.model_fields}
    return Model.model_validate({**fields, "metrics": metrics}, by_name=True, by_alias=False)


def _approvals(candidate: Model, review: Sequence[str], qa: Sequence[str]) -> Approvals:
    kinds: tuple[tuple[ApprovalKind, Sequence[str]], ...] = (("Review", review), ("QA", qa))
    return Approvals(
        tuple(
            Approval(
                name=f"{kind}-{person}",
                at="",
                spec=ModelApprovalSpec(
                    resource=KIND, candidate=candidate.name, digest=candidate.sha256 or "", kind=kind, approver=person
                ),
            )
            for kind, persons in kinds
            for person in persons
            if candidate.sha256 and person
        )
    )
