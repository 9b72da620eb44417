"""The conditions, after kstatus: kubectl, Helm, Argo CD and Flux wait on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, cast

from cetacean_operator.api import names
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import Condition, Status
from cetacean_operator.decisions.failures import Failure
from cetacean_operator.decisions.identity import label, same_weights
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.rollout_state import RolloutState

OVERDUE_AFTER = 24 * 3600.0


class Finding(NamedTuple):
    """A condition without its times."""

    status: str
    reason: str
    message: str


def findings(
    *,
    active: Model,
    choice: Choice,
    truth: RolloutState,
    failure: Failure | None,
    pending: bool,
    blocked: tuple[str, str] | None,
    drift: Finding,
    availability: Finding,
    latency: Finding,
    autoscaling: Finding | None,
    anti_fraud: Finding,
) -> dict[str, Finding]:
    """Return all conditions of a resource that can be read.

    Args:
        active: the registry's active entry.
        choice: what is to serve.
        truth: what serves.
        failure: why pods do not get ready.
        pending: whether something is still to be applied.
        blocked: reason and message where nothing can be applied.
        drift: the condition Drifting.
        availability: the condition LowAvailability.
        latency: the condition HighLatency.
        autoscaling: the condition AutoscalingInactive, None where nobody asks for an autoscaler.
        anti_fraud: the condition AntiFraudDisabled.
    """
    diverged = _diverged(active, choice)
    ready = _ready(active, choice, truth, failure, pending=pending, blocked=blocked, diverged=diverged)
    final = blocked is not None or diverged.status == "True" or (failure is not None and failure.final)
    # What must be acted on is told even while all else goes on.
    stalled = ready.status != "True" and final
    working = ready.status != "True" and not final
    kept = Finding("False", ready.reason, ready.message)
    moving = choice.target is not None and not truth.complete and failure is None
    return {
        names.READY: ready,
        names.RECONCILING: Finding("True", ready.reason, ready.message) if working else kept,
        names.STALLED: Finding("True", ready.reason, ready.message) if stalled else kept,
        names.AVAILABLE: _available(truth),
        names.PROGRESSING: _progressing(truth, failure, moving=moving),
        names.WEIGHTS_VERIFIED: _weights(choice.target, truth, failure),
        names.GATE_PASSED: Finding(*choice.gate),
        names.DRIFTING: drift,
        names.LOW_AVAILABILITY: availability,
        names.HIGH_LATENCY: latency,
        **({names.AUTOSCALING_INACTIVE: autoscaling} if autoscaling else {}),
        names.ANTI_FRAUD_DISABLED: anti_fraud,
        names.REGISTRY_DIVERGED: diverged,
    }


def anti_fraud_finding(threshold: float, since: str | None, age: float | None) -> Finding:
    """Return the condition AntiFraudDisabled; `age` is the seconds that the gate has been off."""
    if threshold > 0.0 or since is None:
        return Finding("False", "Enabled", f"the threshold is {threshold:g}")
    told = f"the threshold is 0.0 since {since}: everything is accepted"
    if age is not None and age >= OVERDUE_AFTER:
        return Finding("True", names.RECALIBRATION_OVERDUE, f"{told}; recalibrate it, 24 h are over")
    return Finding("True", "ThresholdZero", f"{told}; recalibrate it within 24 h")


def dated(found: Mapping[str, Finding], before: Status, generation: int, at: str) -> tuple[Condition, ...]:
    """Add times and generation: `lastTransitionTime` moves only with the status."""
    conditions = []
    for kind in names.CONDITIONS:
        if (finding := found.get(kind)) is None:
            continue
        old = before.condition(kind)
        same = old is not None and old.status == finding.status
        conditions.append(
            Condition(
                type=kind,
                status=cast(Literal["True", "False", "Unknown"], finding.status),
                reason=finding.reason,
                message=finding.message,
                last_transition_time=old.last_transition_time if old and same else at,
                observed_generation=generation,
            )
        )
    return tuple(conditions)


def invalid(message: str) -> dict[str, Finding]:
    """Return the conditions of a resource whose spec cannot be read; what serves goes on unwatched."""
    finding = Finding("True", names.INVALID_SPEC, message)
    return {
        names.READY: finding._replace(status="False"),
        names.RECONCILING: finding._replace(status="False"),
        names.STALLED: finding,
    }


def _diverged(active: Model, choice: Choice) -> Finding:
    target = choice.target
    if target is not None and same_weights(active, target):
        return Finding("False", "InSync", f"the Deployment is to serve what the registry names: {label(target)}")
    serving = f"{label(target)} goes on" if target else "nothing serves"
    if choice.rollback:
        told = (
            f"the registry names {label(active)}, which was rolled back: {label(target) if target else 'nothing'} "
            f"serves until spec.registry.active names another model, or spec.drift.onAlarm is Alert"
        )
        return Finding("True", names.ROLLED_BACK, told)
    return Finding("True", names.GATE_REFUSED, f"the registry names {label(active)}, which the gate refused: {serving}")


def _ready(  # noqa: PLR0911 -- one return for each reason
    active: Model,
    choice: Choice,
    truth: RolloutState,
    failure: Failure | None,
    *,
    pending: bool,
    blocked: tuple[str, str] | None,
    diverged: Finding,
) -> Finding:
    if blocked is not None:
        return Finding("False", *blocked)
    if diverged.status == "True":
        detail = choice.gate[2]
        return Finding("False", diverged.reason, f"{diverged.message}. {detail}")
    count = f"{len(truth.current)} of {truth.wanted} wanted replicas serve {label(active)}"
    if truth.complete and not pending:
        if truth.wanted == 0:
            return Finding("True", "ScaledToZero", f"no replica of {label(active)} is wanted")
        digest = next(iter(truth.digests), "unknown")
        return Finding("True", "Serving", f"{count} (sha256:{digest})")
    if failure is not None:
        return Finding("False", failure.reason, f"{count}; {failure.message}")
    if truth.wrong:
        return Finding("False", "WrongModel", f"{count}; {truth.wrong[0]}")
    if len(truth.digests) > 1:
        return Finding("False", "DigestsDiffer", f"{count}; pods loaded different weights from the same address")
    silent = [pod for pod in truth.ready if pod.identity is None]
    if silent and len(truth.ready) >= truth.wanted:
        told = f"pod {silent[0].name} does not say what it serves: {silent[0].silent or 'no answer yet'}"
        return Finding("False", "PodSilent", f"{count}; {told}")
    return Finding("False", "RollingOut", count)


def _available(truth: RolloutState) -> Finding:
    if truth.ready:
        return Finding("True", "PodsReady", f"{len(truth.ready)} of {truth.wanted} wanted pods answer")
    if truth.wanted == 0:
        return Finding("False", "ScaledToZero", "no replica is wanted")
    return Finding("False", "NoPodReady", f"none of {truth.wanted} wanted pods answers")


def _progressing(truth: RolloutState, failure: Failure | None, *, moving: bool) -> Finding:
    if truth.complete:
        return Finding("False", "RolloutComplete", f"{len(truth.current)} of {truth.wanted} replicas are up to date")
    if failure is not None:
        return Finding("False", failure.reason, failure.message)
    if moving:
        return Finding("True", "RollingOut", f"{len(truth.current)} of {truth.wanted} replicas are up to date")
    return Finding("False", "NothingToRollOut", "no model may be served yet")


def _weights(  # noqa: PLR0911 -- one return for each finding
    target: Model | None, truth: RolloutState, failure: Failure | None
) -> Finding:
    if target is None:
        return Finding("Unknown", "NothingServes", "no model may be served yet")
    if failure is not None and failure.reason == "DigestMismatch":
        return Finding("False", "DigestMismatch", failure.message)
    wrong = [fault for fault in truth.wrong if "weights" in fault]
    if wrong:
        return Finding("False", "DigestMismatch", wrong[0])
    if len(truth.digests) > 1:
        found = ", ".join(f"sha256:{digest}" for digest in sorted(truth.digests))
        return Finding("False", "DigestsDiffer", f"{target.weights_url}: pods loaded {found}")
    if target.sha256 is None and truth.digests:
        told = f"the registry names no sha256 for {label(target)}; pods loaded sha256:{next(iter(truth.digests))}"
        return Finding("Unknown", "NoDigest", told)
    if truth.digests:
        return Finding("True", "Verified", f"{target.weights_url}: pods loaded sha256:{target.sha256} as expected")
    return Finding("Unknown", "NotLoadedYet", f"no pod has loaded {label(target)} yet")
