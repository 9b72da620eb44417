"""Events, on transitions only: the differences between the last status and the next one."""

from __future__ import annotations

from collections.abc import Iterator

from cetacean_operator.api import names
from cetacean_operator.api.status import Condition, SignalStatus, Status
from cetacean_operator.decisions.candidate import GATE_SKIPPED, PASSED
from cetacean_operator.decisions.candidate_events import candidate_events
from cetacean_operator.decisions.plan import EventSpec
from cetacean_operator.decisions.promotion import DRIFT_ROLLBACK, SERVED_BEFORE

_WAITING = frozenset({names.APPROVAL_MISSING, names.APPROVALS_UNREADABLE})
_STAGED = frozenset({names.STAGES_RUNNING, names.CANDIDATE_HELD, names.CANDIDATE_RETURNED})
_QUIET = frozenset({"RollingOut", "PodSilent", names.GATE_REFUSED, names.ROLLED_BACK}) | _WAITING | _STAGED


def transitions(last_status: Status, next_status: Status) -> tuple[EventSpec, ...]:
    """Return the events for the transitions from the last status to the next one."""
    return (
        *_promotions(last_status, next_status),
        *_refusals(last_status, next_status),
        *_approvals(last_status, next_status),
        *_hotfix_review(last_status, next_status),
        *candidate_events(last_status, next_status),
        *_readiness(last_status, next_status),
        *_weights(last_status, next_status),
        *_signature(last_status, next_status),
        *_prefetch(last_status, next_status),
        *_image_volumes(last_status, next_status),
        *_drift(last_status, next_status),
        *_service(last_status, next_status),
        *_route(last_status, next_status),
        *_anti_fraud(last_status, next_status),
    )


def _promotions(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    if not next_status.history or next_status.history[:1] == last_status.history[:1]:
        return
    entry = next_status.history[0]
    name = f"{entry.model} {entry.version}"
    if entry.reason == DRIFT_ROLLBACK:
        yield EventSpec("Warning", "DriftRollback", entry.why, "Rollback")
    elif entry.reason == SERVED_BEFORE:
        yield EventSpec("Normal", "Returning", f"rolling out {name}: {entry.why}", "Rollback")
    elif entry.reason in (PASSED, GATE_SKIPPED):
        yield EventSpec("Normal", "Promoting", f"rolling out {name}: {entry.why}", "Promote")
    else:
        yield EventSpec("Normal", "Adopted", entry.why, "Adopt")


def _refusals(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    old, new = last_status.condition(names.GATE_PASSED), next_status.condition(names.GATE_PASSED)
    if new and new.reason == names.GATE_REFUSED and _differs(old, new, message=True):
        yield EventSpec("Warning", names.GATE_REFUSED, new.message, "Gate")


def _approvals(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    old, new = last_status.condition(names.APPROVED), next_status.condition(names.APPROVED)
    if new is None or not _differs(old, new, message=new.status == "False"):
        return
    if new.status == "False":
        yield EventSpec("Warning", new.reason, new.message, "Approve")
    elif old and old.status == "False":
        yield EventSpec("Normal", names.APPROVED, new.message, "Approve")


def _hotfix_review(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    kind = names.HOTFIX_REVIEW_OVERDUE
    old, new = last_status.condition(kind), next_status.condition(kind)
    was = old is not None and old.status == "True"
    if new is None or was == (new.status == "True"):
        return
    if new.status == "True":
        yield EventSpec("Warning", kind, new.message, "Watch")
    else:
        yield EventSpec("Normal", "HotfixReviewed", new.message, "Watch")


def _readiness(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    old, new = last_status.condition(names.READY), next_status.condition(names.READY)
    if new is None or not _differs(old, new):
        return
    if new.status == "True":
        yield EventSpec("Normal", new.reason, new.message)
    elif new.reason not in _QUIET:
        yield EventSpec("Warning", new.reason, new.message)


def _weights(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    old, new = last_status.condition(names.WEIGHTS_VERIFIED), next_status.condition(names.WEIGHTS_VERIFIED)
    if new and new.reason == "NoDigest" and _differs(old, new):
        yield EventSpec("Warning", "WeightsUnverified", new.message, "Verify")


def _signature(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    kind, ready = names.SIGNATURE_VERIFIED, next_status.condition(names.READY)
    old, new = last_status.condition(kind), next_status.condition(kind)
    if new is None or new.status != "False" or not _differs(old, new):
        return
    if ready is None or ready.reason != new.reason:  # a pod that cannot start has its Event already
        yield EventSpec("Warning", new.reason, new.message, "Verify")


def _prefetch(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    kind = names.WEIGHTS_PREFETCHED
    old, new = last_status.condition(kind), next_status.condition(kind)
    if new is None or not _differs(old, new):
        return
    if new.status == "False":
        yield EventSpec("Warning", "PrefetchFailed", new.message, "Prefetch")
    elif new.reason == "Prefetched":
        yield EventSpec("Normal", kind, new.message, "Prefetch")


def _image_volumes(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    kind = names.IMAGE_VOLUMES_UNSUPPORTED
    old, new = last_status.condition(kind), next_status.condition(kind)
    if new is None or not _differs(old, new):
        return
    if new.status == "True":
        yield EventSpec("Warning", kind, new.message, "Watch")
    elif new.status == "False" and old and old.status == "True":
        yield EventSpec("Normal", "ImageVolumesSupported", new.message, "Watch")


def _drift(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    old, new = last_status.condition(names.DRIFTING), next_status.condition(names.DRIFTING)
    signals = [one for one in _signals(next_status) if one.raised]
    if new is not None and _differs(old, new):
        # A signal has an Event of its own, which is not repeated if the condition takes over its reason later.
        if new.status == "True" and new.reason not in {one.reason for one in signals}:
            yield EventSpec("Warning", new.reason, new.message, "Watch")
        elif new.status != "True" and old and old.status == "True":
            yield EventSpec("Normal", "DriftEnded", new.message, "Watch")
    known = {(one.signal, one.reason) for one in _signals(last_status) if one.raised}
    for one in signals:
        if (one.signal, one.reason) not in known:
            yield EventSpec("Warning", one.reason, f"{one.message}. Next: {one.next_step}", "Watch")


def _signals(status: Status) -> tuple[SignalStatus, ...]:
    """Return the signals that the condition Drifting does not have as its own reasons."""
    return tuple(one for one in (status.drift.signals if status.drift else ()) if one.signal != "CetaceanScore")


def _service(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    for kind, ended in (
        (names.LOW_AVAILABILITY, "AvailabilityAlarmEnded"),
        (names.HIGH_LATENCY, "LatencyAlarmEnded"),
        (names.AUTOSCALING_INACTIVE, "AutoscalingActive"),
    ):
        old, new = last_status.condition(kind), next_status.condition(kind)
        was = old is not None and old.status == "True"
        if new is None or was == (new.status == "True"):
            continue
        if new.status == "True":
            yield EventSpec("Warning", kind, new.message, "Watch")
        else:
            yield EventSpec("Normal", ended, new.message, "Watch")


def _route(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    old, new = last_status.condition(names.ROUTE_ACCEPTED), next_status.condition(names.ROUTE_ACCEPTED)
    if new is None or not _differs(old, new):
        return
    if new.status == "False":
        yield EventSpec("Warning", "RouteNotAccepted", new.message, "Route")
    elif old and old.status == "False" and new.status == "True":
        yield EventSpec("Normal", names.ROUTE_ACCEPTED, new.message, "Route")


def _anti_fraud(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    old, new = last_status.condition(names.ANTI_FRAUD_DISABLED), next_status.condition(names.ANTI_FRAUD_DISABLED)
    if new is None or not _differs(old, new):
        return
    if new.status == "True":
        reason = new.reason if new.reason == names.RECALIBRATION_OVERDUE else names.ANTI_FRAUD_DISABLED
        yield EventSpec("Warning", reason, new.message, "Watch")
    elif old and old.status == "True":
        yield EventSpec("Normal", "AntiFraudEnabled", new.message, "Watch")


def _differs(old: Condition | None, new: Condition, *, message: bool = False) -> bool:
    if old is None:
        return True
    return (old.status, old.reason, old.message if message else "") != (
        new.status,
        new.reason,
        new.message if message else "",
    )
