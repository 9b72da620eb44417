"""What to do next about a condition: the step in one line, and the runbook's section that has all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cetacean_operator.api import names
from cetacean_operator.decisions.conditions import Finding

ANY: Final = ""
STEPS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    (names.DRIFTING, "ScoreDropped"): (
        "drift",
        "compare what is sent with the evaluation set, then recalibrate the threshold or go back to the model before",
    ),
    (names.DRIFTING, "SystemicRejection"): (
        "systemic-rejection",
        "look at the pictures that are sent, then at the threshold",
    ),
    (names.LOW_AVAILABILITY, ANY): ("availability", "find the pods whose errors_total grows and read their logs"),
    (names.HIGH_LATENCY, ANY): (
        "latency",
        "compare the stages prepare, queue and predict, then add replicas or processors",
    ),
    (names.AUTOSCALING_INACTIVE, ANY): (
        "autoscaling",
        "look whether the metrics API is served (metrics-server), and whether resources.requests names a cpu",
    ),
    (names.ANTI_FRAUD_DISABLED, "ThresholdZero"): ("gate-disabled", "calibrate the threshold and set it"),
    (names.ANTI_FRAUD_DISABLED, names.RECALIBRATION_OVERDUE): (
        "recalibration-overdue",
        "calibrate the threshold and set it now",
    ),
    (names.REGISTRY_DIVERGED, ANY): (
        "registry-diverged",
        "name a model in the registry that may serve, and mirror it again",
    ),
    (names.STALLED, names.GATE_REFUSED): ("registry-diverged", "name a model that passes the gate"),
    (names.STALLED, names.ROLLED_BACK): ("registry-diverged", "name the model that serves, or a better one"),
    (names.STALLED, ANY): ("rollout-stalled", "mend what the message names, or go back to the model before"),
}
"""Anchor and next step by condition type and reason; ANY stands for the reasons that are not listed."""


def guided(found: Mapping[str, Finding], base: str) -> dict[str, Finding]:
    """Add next step and link to each condition that somebody must act on.

    Args:
        found: conditions by type.
        base: address of the runbook, without an anchor.
    """
    return {kind: _guided(kind, finding, base) for kind, finding in found.items()}


def _guided(kind: str, finding: Finding, base: str) -> Finding:
    step = STEPS.get((kind, finding.reason)) or STEPS.get((kind, ANY))
    if step is None or finding.status != "True":
        return finding
    anchor, told = step
    return finding._replace(message=f"{finding.message}. Next: {told}; runbook: {base}#{anchor}")
