"""Whether the HorizontalPodAutoscaler can do its work: one without figures does nothing, and few look at its status."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.serving import Autoscaling
from cetacean_operator.api.status import Status
from cetacean_operator.decisions.conditions import Finding
from cetacean_operator.decisions.plan import seconds_since
from cetacean_operator.decisions.rollout_state import RolloutState

PATIENCE = 120.0
"""Seconds that figures of pods which have just become ready may take to come."""


def judge_autoscaling(
    *, scaling: Autoscaling | None, autoscaler: Object | None, truth: RolloutState, before: Status, now: datetime
) -> tuple[Finding | None, float | None]:
    """Hand the autoscaler's own finding on, once it has lasted.

    Args:
        scaling: what the resource asks for.
        autoscaler: the HorizontalPodAutoscaler as it is.
        truth: what serves.
        before: the last status.
        now: the time, aware of its zone.

    Returns:
        The condition AutoscalingInactive, None where no autoscaler is asked for, and the seconds until time alone
        changes it.
    """
    if scaling is None:
        return None, None
    active = _condition(autoscaler, "ScalingActive")
    if active.get("status") == "True":
        bounds = f"between {scaling.min_replicas} and {scaling.max_replicas} pods"
        target = f"{scaling.target_cpu_utilization_percentage} % of the requested CPU"
        return Finding("False", "ScalingActive", f"the autoscaler keeps {bounds} at {target}"), None
    reason = active.get("reason") or "NotSeenYet"
    message = active.get("message") or "the autoscaler has not looked yet"
    if not truth.ready or active.get("status") != "False":
        return Finding("Unknown", reason, message), None
    available = before.condition(names.AVAILABLE)
    began = available.last_transition_time if available and available.status == "True" else None
    # Neither counts before there were pods to measure.
    ages = [seconds_since(time, now) for time in (active.get("lastTransitionTime"), began)]
    waited = min(age or 0.0 for age in ages)
    if waited < PATIENCE:
        return Finding("Unknown", reason, message), PATIENCE - max(0.0, waited)
    return Finding("True", reason, message), None


def _condition(autoscaler: Object | None, kind: str) -> dict[str, Any]:
    conditions = ((autoscaler or {}).get("status") or {}).get("conditions") or ()
    return next((found for found in conditions if found.get("type") == kind), {})
