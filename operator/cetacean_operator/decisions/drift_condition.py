"""The condition Drifting: the playbook's two rules first, then the other raised signals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from cetacean_operator.api import names
from cetacean_operator.api.spec import Drift
from cetacean_operator.api.status import DriftStatus, ModelRef, SignalState, SignalStatus
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.signals import SignalVerdict

_DIGITS: Final = 3
_STATES: Final[dict[Literal["True", "False", "Unknown"], SignalState]] = {
    "True": "Raised",
    "False": "WithinBounds",
    "Unknown": "Unknown",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The playbook's figures beside their bounds."""

    rejection_rate: float | None
    """None if there are too few requests."""
    dropped: bool
    """The mean lies too far below the baseline."""
    systemic: bool
    """Too many requests are rejected as no marine mammal."""


def score_condition(
    shown: DriftStatus, judged: Comparison, policy: Drift, *, model: ModelRef | None, answered: int
) -> ConditionState:
    """Return the condition as far as it is about the mean cetacean score."""
    if model is None:
        return ConditionState("Unknown", "NothingServes", "no pod serves")
    figures = (
        f"mean cetacean score {shown.mean or 0.0:.{_DIGITS}f} of {model.name} over {shown.samples} samples, "
        f"{shown.drop or 0.0:.{_DIGITS}f} below its baseline {shown.baseline or 0.0:g}"
    )
    if judged.dropped:
        return ConditionState("True", "ScoreDropped", f"{figures}: at least {policy.alarm_drop:g} (alarmDrop)")
    if not answered:
        return ConditionState("Unknown", "NoReports", "no pod has reported its scores")
    if shown.baseline is None:
        missing = "its metrics snapshot has no cetaceanScoreMean, so no drop can be found"
        return ConditionState("Unknown", "NoBaseline", f"{model.name} has no baseline: {missing}")
    if shown.samples < policy.min_samples:
        few = f"{shown.samples} samples of at least {policy.min_samples} (minSamples)"
        return ConditionState("Unknown", "TooFewSamples", few)
    return ConditionState("False", "WithinBounds", f"{figures}: less than {policy.alarm_drop:g} (alarmDrop)")


def score_signal(score: ConditionState, shown: DriftStatus, policy: Drift) -> SignalStatus:
    """Return the same as a signal of the status."""
    return SignalStatus(
        signal="CetaceanScore",
        state=_STATES[score.status],
        reason=score.reason,
        value=shown.drop,
        bound=policy.alarm_drop,
        samples=shown.samples,
        message=score.message if score.status == "True" else None,
    )


def drifting(
    score: ConditionState, judged: Comparison, shown: DriftStatus, policy: Drift, signals: Iterable[SignalVerdict]
) -> ConditionState:
    """Return the condition: rejections come first, then the mean score, then what the identification produces."""
    condition = score
    if judged.systemic:
        # If most of what is sent is no whale, the mean drops too: the rejections are to be checked first.
        rejected = (
            f"{shown.rejection_rate or 0.0:.{_DIGITS}f} of the requests are rejected as {names.SYSTEMIC_REASON}, more "
            f"than {policy.max_rejection_rate:g} (maxRejectionRate): a systemic fault, check what is sent and the "
            "threshold"
        )
        message = f"{rejected}; {score.message}" if judged.dropped else rejected
        condition = ConditionState("True", names.SYSTEMIC_REJECTION, message)
    raised = sorted((one for one in signals if one.shown.raised), key=lambda one: not one.from_identification)
    if not raised:
        return condition
    found = "; ".join(one.shown.message or one.shown.reason for one in raised)
    if condition.status == "True":
        return condition._replace(message=f"{condition.message}; {found}")
    return ConditionState("True", raised[0].shown.reason, found)
