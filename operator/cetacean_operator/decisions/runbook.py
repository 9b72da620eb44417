"""The next step for a condition that needs a person: one line, and a link to the section of the runbook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cetacean_operator.api import names
from cetacean_operator.api.status import LONGEST_MESSAGE
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_registry.messages import one_line

ANY: Final = ""
_APPROVE: Final = ("approval-missing", "give what is missing with `cetacean approve`, or name the model that serves")
_READ_APPROVALS: Final = (
    "approval-missing",
    "install the CRD modelapprovals.ecomarineai.org and let the operator list and watch it",
)
_HELD: Final = (
    "candidate-held",
    "read its figures with `cetacean candidate show`, then promote it, abort it, or name another model",
)
_RETURNED: Final = (
    "candidate-returned",
    "read why with `cetacean candidate show`, then name the model that serves, or a better one",
)
STEPS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    (names.DRIFTING, "ScoreDropped"): (
        "drift",
        "compare what is sent with the evaluation set, then calibrate the threshold on pictures as they are sent now",
    ),
    (names.DRIFTING, names.SYSTEMIC_REJECTION): (
        "systemic-rejection",
        "check the pictures that are sent, then the threshold",
    ),
    (names.DRIFTING, "TopProbabilityDropped"): (
        "top-probability",
        "compare what is sent with the evaluation set: go back to the model before if it is the same, else collect it",
    ),
    (names.DRIFTING, "LowConfidenceRisen"): (
        "low-confidence",
        "check if the pictures show individuals that the model does not know, then train it on them",
    ),
    (names.DRIFTING, "DistributionChanged"): (
        "distribution",
        "find out which pictures have the scores that the message names, then extend the evaluation set",
    ),
    (names.DRIFTING, "SpeciesMixChanged"): (
        "species-mix",
        "check with those who send pictures if they see other species now; if so, extend the evaluation set",
    ),
    (names.DRIFTING, "IdentificationWorse"): (
        "identification-worse",
        "label some of the newest pictures, and compare the model before on them",
    ),
    (names.WEIGHTS_PREFETCHED, ANY): (
        "weights-not-prefetched",
        "repair what the message names: the registry's entry, the store or the claim",
    ),
    (names.IMAGE_VOLUMES_UNSUPPORTED, ANY): (
        "image-volumes-unsupported",
        "update the cluster, turn on the feature gate ImageVolume, or name the weights by another scheme",
    ),
    (names.LOW_AVAILABILITY, ANY): ("availability", "find the pods whose errors_total grows and read their logs"),
    (names.HIGH_LATENCY, ANY): (
        "latency",
        "compare the stages prepare, queue and predict, then add replicas or processors",
    ),
    (names.AUTOSCALING_INACTIVE, ANY): (
        "autoscaling",
        "check that the metrics API is served (metrics-server), and that resources.requests names a cpu",
    ),
    (names.ROUTE_ACCEPTED, ANY): (
        "route-not-accepted",
        "compare spec.serving.route with the Gateway's listeners, and check that it allows routes of this namespace",
    ),
    (names.ROUTE_ACCEPTED, "GatewayAPIMissing"): (
        "route-not-accepted",
        "install the Gateway API's CRDs (version 1 or later), or remove spec.serving.route",
    ),
    (names.ANTI_FRAUD_DISABLED, "ThresholdZero"): ("gate-disabled", "calibrate the threshold and set it"),
    (names.ANTI_FRAUD_DISABLED, names.RECALIBRATION_OVERDUE): (
        "recalibration-overdue",
        "calibrate the threshold and set it now",
    ),
    (names.HOTFIX_REVIEW_OVERDUE, ANY): (
        "hotfix-review-overdue",
        "review the hotfix now and approve it, or go back to the model before",
    ),
    (names.REGISTRY_DIVERGED, names.APPROVAL_MISSING): _APPROVE,
    (names.REGISTRY_DIVERGED, names.APPROVALS_UNREADABLE): _READ_APPROVALS,
    (names.REGISTRY_DIVERGED, names.CANDIDATE_HELD): _HELD,
    (names.REGISTRY_DIVERGED, names.CANDIDATE_RETURNED): _RETURNED,
    (names.REGISTRY_DIVERGED, ANY): (
        "registry-diverged",
        "name a model in the registry that may serve, and mirror it again",
    ),
    (names.STALLED, names.GATE_REFUSED): ("registry-diverged", "name a model that passes the gate"),
    (names.STALLED, names.APPROVAL_MISSING): _APPROVE,
    (names.STALLED, names.APPROVALS_UNREADABLE): _READ_APPROVALS,
    (names.STALLED, names.ROLLED_BACK): ("registry-diverged", "name the model that serves, or a better one"),
    (names.STALLED, names.CANDIDATE_HELD): _HELD,
    (names.STALLED, names.CANDIDATE_RETURNED): _RETURNED,
    (names.STALLED, ANY): ("rollout-stalled", "repair what the message names, or go back to the model before"),
}
"""Anchor and next step by condition type and reason; ANY is for reasons that are not listed."""
_PROBLEM_IF_FALSE: Final = frozenset({names.ROUTE_ACCEPTED, names.WEIGHTS_PREFETCHED})
"""Conditions that report a problem if they are False; the others do if they are True."""


def add_next_steps(found: Mapping[str, ConditionState], base: str) -> dict[str, ConditionState]:
    """Add the next step and a link to the message of each condition that needs a person.

    Args:
        found: conditions by type.
        base: address of the runbook, without an anchor.
    """
    return {kind: _add_next_step(kind, state, base) for kind, state in found.items()}


def next_step(kind: str, reason: str, base: str) -> str | None:
    """Return the next step with its link, None if the reason of the condition needs no person.

    Args:
        kind: type of the condition.
        reason: its reason, or that of a signal.
        base: address of the runbook, without an anchor.
    """
    found = STEPS.get((kind, reason)) or STEPS.get((kind, ANY))
    return f"{found[1]}; runbook: {base}#{found[0]}" if found else None


def _add_next_step(kind: str, state: ConditionState, base: str) -> ConditionState:
    problem = "False" if kind in _PROBLEM_IF_FALSE else "True"
    step = next_step(kind, state.reason, base) if state.status == problem else None
    if step is None:
        return state
    # The step stands at the end: a long text from outside is cut before it.
    found = one_line(state.message, longest=max(1, LONGEST_MESSAGE - len(f". Next: {step}")))
    return state._replace(message=f"{found}. Next: {step}")
