"""The condition AutoscalingInactive: a HorizontalPodAutoscaler without metrics does nothing, which is easy to miss."""

from __future__ import annotations

from datetime import datetime

from cetacean_operator.api import names
from cetacean_operator.api.objects import find_condition
from cetacean_operator.api.observed import Object
from cetacean_operator.api.serving import Autoscaling
from cetacean_operator.api.status import Status
from cetacean_operator.api.timestamps import seconds_since
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.rollout_state import CurrentState
from cetacean_registry.messages import one_line

PATIENCE = 120.0
"""Seconds until the metrics of pods that have just become ready count as missing."""


def judge_autoscaling(
    *, scaling: Autoscaling | None, autoscaler: Object | None, state: CurrentState, last_status: Status, now: datetime
) -> tuple[ConditionState | None, float | None]:
    """Repeat the autoscaler's own condition, once it has lasted.

    Args:
        scaling: what the resource asks for.
        autoscaler: the live HorizontalPodAutoscaler.
        state: the pods.
        last_status: says since when pods are available.
        now: the time, aware of its zone.

    Returns:
        The condition AutoscalingInactive, None if no autoscaler is wanted, and the seconds until time alone changes it.
    """
    if scaling is None:
        return None, None
    active = find_condition(autoscaler, "ScalingActive")
    if active.get("status") == "True":
        bounds = f"between {scaling.min_replicas} and {scaling.max_replicas} pods"
        target = f"{scaling.target_cpu_utilization_percentage} % of the requested CPU"
        return ConditionState("False", "ScalingActive", f"the autoscaler keeps {bounds} at {target}"), None
    reason = active.get("reason") or "NotSeenYet"
    message = one_line(str(active.get("message") or "the autoscaler has not reported yet"))
    if not state.ready or active.get("status") != "False":
        return ConditionState("Unknown", reason, message), None
    available = last_status.condition(names.AVAILABLE)
    began = available.last_transition_time if available and available.status == "True" else None
    # Before there were pods to measure, missing metrics are no fault.
    ages = [seconds_since(time, now) for time in (active.get("lastTransitionTime"), began)]
    waited = min(age or 0.0 for age in ages)
    if waited < PATIENCE:
        return ConditionState("Unknown", reason, message), PATIENCE - max(0.0, waited)
    return ConditionState("True", reason, message), None
