"""The JSON and the tables of `status` and `history`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cetacean_cli.output import age, key_value_table, styled_status, table
from cetacean_cli.resource import CetaceanModel, describe, digest
from cetacean_operator.api import names
from cetacean_operator.api.status import DriftStatus, ModelRef, Release

_GOOD_WHEN_TRUE = {
    names.READY,
    names.AVAILABLE,
    names.WEIGHTS_VERIFIED,
    names.GATE_PASSED,
    names.APPROVED,
    names.ROUTE_ACCEPTED,
    names.CANDIDATE_PASSED,
}
"""All others report a problem while they are true."""


def as_json(resource: CetaceanModel) -> dict[str, Any]:
    """Return the JSON output; its keys are those of the status if the status has them."""
    wire = resource.status.wire()
    meta = resource.raw["metadata"]
    return {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "generation": resource.generation,
        "observedGeneration": resource.status.observed_generation,
        "active": wire.get("active")
        or {"name": resource.spec.registry.active, "version": resource.spec.registry.active_model.version},
        "serving": wire.get("serving"),
        "ready": ready(resource),
        "replicas": {
            "wanted": resource.desired_replicas,
            "all": resource.status.replicas,
            "ready": resource.status.ready_replicas,
            "active": resource.status.active_replicas,
        },
        "antiFraud": {"threshold": resource.spec.anti_fraud.threshold, **(wire.get("antiFraud") or {})},
        "drift": wire.get("drift"),
        "rollback": wire.get("rollback"),
        "candidate": wire.get("candidate"),
        "conditions": wire.get("conditions", []),
        "managedBy": list(resource.managers()),
    }


def ready(resource: CetaceanModel) -> bool:
    """Return True if the operator reports Ready for the present spec."""
    condition = resource.status.condition(names.READY)
    return bool(condition and condition.status == "True" and resource.is_current)


def status_view(resource: CetaceanModel) -> RenderableType:
    """Return the table of the spec and of the pods, then every condition."""
    conditions = table(
        ("CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"),
        (
            (
                item.type,
                styled_status(item.status, good="True" if item.type in _GOOD_WHEN_TRUE else "False"),
                age(item.last_transition_time),
                item.reason,
                item.message,
            )
            for item in resource.status.conditions
        ),
    )
    return Group(key_value_table(_summary(resource)), Text(""), conditions)


def _summary(resource: CetaceanModel) -> Iterator[tuple[str, object]]:
    status, gate = resource.status, resource.spec.anti_fraud
    yield "CetaceanModel", resource.subject.removeprefix("cetaceanmodel ")
    yield "Active", describe(resource.spec.registry.active_model)
    yield "Serving", _reference(status.serving)
    if not resource.is_current:
        yield "Ready", Text("the operator has not acted on the present spec yet", style="yellow")
    elif condition := resource.status.condition(names.READY):
        yield "Ready", Text.assemble(styled_status(condition.status), f" {condition.reason}")
    desired = "the autoscaler decides" if resource.desired_replicas is None else f"{resource.desired_replicas} wanted"
    pods = f"{status.replicas} exist, {status.ready_replicas} ready, {status.active_replicas} serving the active model"
    yield "Replicas", f"{desired}, {pods}"
    if gate.threshold == 0.0:
        since = status.anti_fraud.disabled_since if status.anti_fraud else None
        yield "Gate", Text(f"DISABLED since {since or 'just now'}: every picture is accepted", style="red")
    else:
        yield (
            "Gate",
            f"threshold {gate.threshold:g}" + (f", calibrated {gate.calibrated_at}" if gate.calibrated_at else ""),
        )
    yield "Drift", _drift_line(status.drift)
    if found := status.candidate:
        stage = f", stage {found.stage} of {found.stages} ({found.kind})" if found.stage else ""
        yield "Candidate", f"{found.model} {found.version}{stage}: {found.verdict}"
    if status.rollback:
        yield "Rollback", Text(f"{status.rollback.at}: {status.rollback.why}", style="red")
    if managers := resource.managers():
        yield "Managed by", ", ".join(managers)


def _drift_line(drift: DriftStatus | None) -> str:
    if drift is None or drift.mean is None:
        return "no samples"
    baseline = (
        "no baseline" if drift.baseline is None else f"{drift.drop or 0.0:.3f} below the baseline {drift.baseline:g}"
    )
    return f"mean {drift.mean:.3f}, {baseline}, {drift.samples} samples, {drift.alarms} alarms"


def _reference(reference: ModelRef | None) -> str:
    if reference is None:
        return "nothing"
    return f"{reference.name} {reference.version or '?'} ({digest(reference.digest)})"


def history_view(resource: CetaceanModel) -> RenderableType:
    """Return the table of the last promotions, newest first; with the approvals if any promotion needed one."""
    entries = resource.status.history
    head = ("WHEN", "MODEL", "VERSION", "DIGEST", "REASON", "WHY")
    rows = [(entry.at, entry.model, entry.version, digest(entry.digest), entry.reason, entry.why) for entry in entries]
    if not any(entry.release for entry in entries):
        return table(head, rows)
    approved = [_release_line(entry.release) for entry in entries]
    return table(
        (*head[:5], "RELEASE", "WHY"), [(*row[:5], text, row[5]) for row, text in zip(rows, approved, strict=True)]
    )


def _release_line(release: Release | None) -> str:
    if release is None:
        return ""
    given = ", ".join(f"{item.kind} by {item.approver}" for item in release.approvals)
    return f"{release.type}: {given or 'no approval'}"
