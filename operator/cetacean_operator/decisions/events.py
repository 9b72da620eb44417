"""Events, on transitions only: what differs between the last status and this one."""

from __future__ import annotations

from collections.abc import Iterator

from cetacean_operator.api import names
from cetacean_operator.api.status import Condition, Status
from cetacean_operator.decisions.plan import EventSpec
from cetacean_operator.decisions.promotion import DRIFT_ROLLBACK, PASSED, SERVED_BEFORE

_QUIET = frozenset({"RollingOut", "PodSilent", names.GATE_REFUSED, names.ROLLED_BACK})


def transitions(before: Status, after: Status) -> tuple[EventSpec, ...]:
    """Return the events that lead from one status to the next."""
    return (
        *_promotions(before, after),
        *_refusals(before, after),
        *_readiness(before, after),
        *_weights(before, after),
        *_drift(before, after),
        *_service(before, after),
        *_anti_fraud(before, after),
    )


def _promotions(before: Status, after: Status) -> Iterator[EventSpec]:
    if not after.history or after.history[:1] == before.history[:1]:
        return
    entry = after.history[0]
    name = f"{entry.model} {entry.version}"
    if entry.reason == DRIFT_ROLLBACK:
        yield EventSpec("Warning", "DriftRollback", entry.why, "Rollback")
    elif entry.reason == SERVED_BEFORE:
        yield EventSpec("Normal", "Returning", f"rolling out {name}: {entry.why}", "Rollback")
    elif entry.reason == PASSED:
        yield EventSpec("Normal", "Promoting", f"rolling out {name}: {entry.why}", "Promote")
    else:
        yield EventSpec("Normal", "Adopted", entry.why, "Adopt")


def _refusals(before: Status, after: Status) -> Iterator[EventSpec]:
    old, new = before.condition(names.GATE_PASSED), after.condition(names.GATE_PASSED)
    if new and new.reason == names.GATE_REFUSED and _differs(old, new, message=True):
        yield EventSpec("Warning", names.GATE_REFUSED, new.message, "Gate")


def _readiness(before: Status, after: Status) -> Iterator[EventSpec]:
    old, new = before.condition(names.READY), after.condition(names.READY)
    if new is None or not _differs(old, new):
        return
    if new.status == "True":
        yield EventSpec("Normal", new.reason, new.message)
    elif new.reason not in _QUIET:
        yield EventSpec("Warning", new.reason, new.message)


def _weights(before: Status, after: Status) -> Iterator[EventSpec]:
    old, new = before.condition(names.WEIGHTS_VERIFIED), after.condition(names.WEIGHTS_VERIFIED)
    if new and new.reason == "NoDigest" and _differs(old, new):
        yield EventSpec("Warning", "WeightsUnverified", new.message, "Verify")


def _drift(before: Status, after: Status) -> Iterator[EventSpec]:
    old, new = before.condition(names.DRIFTING), after.condition(names.DRIFTING)
    if new is None or not _differs(old, new):
        return
    if new.status == "True":
        yield EventSpec("Warning", new.reason, new.message, "Watch")
    elif old and old.status == "True":
        yield EventSpec("Normal", "DriftEnded", new.message, "Watch")


def _service(before: Status, after: Status) -> Iterator[EventSpec]:
    for kind, ended in (
        (names.LOW_AVAILABILITY, "AvailabilityAlarmEnded"),
        (names.HIGH_LATENCY, "LatencyAlarmEnded"),
        (names.AUTOSCALING_INACTIVE, "AutoscalingActive"),
    ):
        old, new = before.condition(kind), after.condition(kind)
        was = old is not None and old.status == "True"
        if new is None or was == (new.status == "True"):
            continue
        if new.status == "True":
            yield EventSpec("Warning", kind, new.message, "Watch")
        else:
            yield EventSpec("Normal", ended, new.message, "Watch")


def _anti_fraud(before: Status, after: Status) -> Iterator[EventSpec]:
    old, new = before.condition(names.ANTI_FRAUD_DISABLED), after.condition(names.ANTI_FRAUD_DISABLED)
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
