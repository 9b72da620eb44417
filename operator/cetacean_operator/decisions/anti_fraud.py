"""The condition AntiFraudDisabled: a threshold of 0.0 accepts every picture, and is meant for a day at most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cetacean_operator.api import names
from cetacean_operator.api.status import AntiFraudStatus, Status
from cetacean_operator.api.timestamps import seconds_since, timestamp
from cetacean_operator.decisions.condition_state import ConditionState

OVERDUE_AFTER = 24 * 3600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class AntiFraudVerdict:
    """The gate as the status reports it."""

    shown: AntiFraudStatus
    condition: ConditionState
    requeue_after: float | None = None
    """Seconds until time alone changes the condition."""


def judge_anti_fraud(
    *, threshold: float, reported: Iterable[float | None], last_status: Status, now: datetime
) -> AntiFraudVerdict:
    """Judge for how long the gate has been disabled.

    Args:
        threshold: smallest score that is accepted; 0.0 disables the gate.
        reported: the thresholds that ready pods report; a pod with 0.0 accepts everything, whatever the spec says.
        last_status: says since when, if it was disabled before.
        now: the time, aware of its zone.
    """
    disabled_in_a_pod = any(value == 0.0 for value in reported)
    if threshold > 0.0 and not disabled_in_a_pod:
        enabled = ConditionState("False", "Enabled", f"the threshold is {threshold:g}")
        return AntiFraudVerdict(AntiFraudStatus(threshold=threshold), enabled)
    since = last_status.anti_fraud.disabled_since if last_status.anti_fraud else None
    age = seconds_since(since, now)
    if age is None or age < 0.0:
        # A time ahead of now was written by a clock that has been set back since.
        since, age = timestamp(now), 0.0
    shown = AntiFraudStatus(threshold=threshold, disabled_since=since)
    message = f"the threshold is 0.0 since {since}: everything is accepted"
    if threshold > 0.0:
        message = f"a pod has reported the threshold 0.0 since {since} (expected {threshold:g}): it accepts everything"
    if age >= OVERDUE_AFTER:
        overdue = f"{message}; recalibrate it, 24 h are over"
        return AntiFraudVerdict(shown, ConditionState("True", names.RECALIBRATION_OVERDUE, overdue))
    recent = f"{message}; recalibrate it within 24 h"
    return AntiFraudVerdict(shown, ConditionState("True", "ThresholdZero", recent), OVERDUE_AFTER - age)
