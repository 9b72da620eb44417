"""For how long the anti-fraud gate has been disabled, by the spec or in a pod, and when a day is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.operator_world import BEGIN

from cetacean_operator.api.status import AntiFraudStatus, Status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.anti_fraud import AntiFraudVerdict, judge_anti_fraud
from cetacean_operator.decisions.condition_state import ConditionState

DAY = 24 * 3600.0
SINCE = timestamp(BEGIN)


def judged(
    threshold: float, *reported: float | None, after: float = 0.0, since: str | None = None, known: bool = True
) -> AntiFraudVerdict:
    last = Status(anti_fraud=AntiFraudStatus(threshold=0.0, disabled_since=since) if known else None)
    now = BEGIN + timedelta(seconds=after)
    return judge_anti_fraud(threshold=threshold, reported=reported, last_status=last, now=now)


def disabled(threshold: float, reason: str, message: str, requeue: float | None = None) -> AntiFraudVerdict:
    shown = AntiFraudStatus(threshold=threshold, disabled_since=SINCE)
    return AntiFraudVerdict(shown, ConditionState("True", reason, message), requeue)


@pytest.mark.parametrize(("threshold", "text"), [(0.525, "0.525"), (0.01, "0.01"), (1.0, "1")])
def test_a_threshold_above_zero_enables_the_gate(threshold: float, text: str) -> None:
    enabled = ConditionState("False", "Enabled", f"the threshold is {text}")
    expected = AntiFraudVerdict(AntiFraudStatus(threshold=threshold), enabled)
    assert judged(threshold, threshold, None, since=SINCE, after=DAY) == expected


@pytest.mark.parametrize(
    ("since", "known", "after", "left"),
    [
        (None, False, 0.0, DAY),
        (None, True, 0.0, DAY),
        (SINCE, True, 0.5, DAY - 0.5),
        (SINCE, True, DAY - 1.0, 1.0),
        (timestamp(BEGIN + timedelta(seconds=60)), True, 0.0, DAY),
        ("yesterday", True, 0.0, DAY),
    ],
    ids=["no status", "just disabled", "half a second", "almost a day", "a clock was set back", "no time"],
)
def test_the_day_of_a_gate_that_the_spec_disables_begins_once(
    since: str | None, known: bool, after: float, left: float
) -> None:
    message = f"the threshold is 0.0 since {SINCE}: everything is accepted; recalibrate it within 24 h"
    # A pod that still has the threshold before changes nothing.
    found = judged(0.0, 0.5, since=since, known=known, after=after)
    assert found == disabled(0.0, "ThresholdZero", message, left)


@pytest.mark.parametrize("after", [DAY, 3 * DAY])
def test_a_gate_is_overdue_after_a_day(after: float) -> None:
    message = f"the threshold is 0.0 since {SINCE}: everything is accepted; recalibrate it, 24 h are over"
    assert judged(0.0, since=SINCE, after=after) == disabled(0.0, "RecalibrationOverdue", message)


def test_one_pod_that_accepts_everything_is_reported_with_the_threshold_that_the_spec_asks_for() -> None:
    message = (
        f"a pod has reported the threshold 0.0 since {SINCE} (expected 0.5): it accepts everything; recalibrate it"
    )
    early = judged(0.5, 0.5, None, 0.0)
    assert early == disabled(0.5, "ThresholdZero", f"{message} within 24 h", DAY)
    late = judged(0.5, 0.0, since=SINCE, after=DAY)
    assert late == disabled(0.5, "RecalibrationOverdue", f"{message}, 24 h are over")
