"""Drift: the pods' windows pooled by sample count, held against the serving model's own baseline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from cetacean_operator.api import names
from cetacean_operator.api.observed import DriftReport, Pod
from cetacean_operator.api.spec import Drift
from cetacean_operator.api.status import DriftStatus, ModelRef
from cetacean_operator.decisions.silence import told_of

_DIGITS = 3
_UNIT = 10.0**-_DIGITS


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """Figures to show, exact figures to decide by, and what they mean."""

    shown: DriftStatus
    mean: float | None
    """Not rounded."""
    alarm: bool
    """The mean has dropped too far below the baseline."""
    status: str
    reason: str
    message: str


def judge_drift(
    *,
    pods: Iterable[Pod],
    model: ModelRef | None,
    baseline: float | None,
    policy: Drift,
    before: DriftStatus | None,
) -> DriftVerdict:
    """Pool what the pods of `model` report.

    Args:
        pods: ready pods, whatever they serve.
        model: the model that serves, None where nothing does.
        baseline: its mean cetacean score on its evaluation set.
        policy: the bounds.
        before: the figures shown last; one that has moved by no more than its last digit stays as it was.
    """
    own = [pod for pod in pods if model and (pod.identity is None or pod.identity.digest == model.digest)]
    answers = [pod for pod in own if pod.silent is None and pod.drift is not None]
    reports = [pod.drift for pod in answers if pod.drift is not None]
    samples = sum(report.samples for report in reports)
    mean = _weighted((report.mean, report.samples) for report in reports)
    requests, rejections = sum(r.requests for r in reports), sum(r.rejections for r in reports)
    enough = requests >= policy.min_samples
    rate = rejections / requests if enough and requests else None
    drop = None if mean is None or baseline is None else baseline - mean
    old = before or DriftStatus()
    shown = DriftStatus(
        samples=samples,
        mean=_settle(mean, old.mean),
        baseline=baseline,
        drop=None,
        alarms=sum(report.alarms for report in reports),
        score_avg=_settle(_weighted((r.score_avg, r.samples) for r in reports), old.score_avg),
        rejection_rate=_settle(rate, old.rejection_rate),
        pods_scraped=len(answers),
        pods_silent=len(own) - len(answers),
    )
    if shown.mean is not None and baseline is not None:
        shown = shown.model_copy(update={"drop": round(baseline - shown.mean, _DIGITS)})
    alarm = drop is not None and samples >= policy.min_samples and _exact(drop) >= _exact(policy.alarm_drop)
    systemic = rate is not None and rate > policy.max_rejection_rate
    told = alarm
    if own and not reports and before is not None:
        # An alarm is not over because nobody answers any more; a rollback needs fresh figures.
        told, systemic = _held(before, policy)
        if told or systemic:
            shown = before.model_copy(update={"pods_scraped": 0, "pods_silent": len(own)})
    status, reason, message = _words(shown, reports, policy, model=model, alarm=told, systemic=systemic)
    silent = told_of([pod for pod in own if pod.silent is not None or pod.drift is None], len(own))
    return DriftVerdict(shown, mean, alarm, status, reason, message + silent)


def drift_annotations(shown: DriftStatus) -> dict[str, str]:
    """Return the figures as the resource's annotations; what is not known is absent, all while there is no sample."""
    if not (shown.samples or shown.alarms):
        return {}
    figures = {
        names.ANNOTATION_DRIFT_MEAN: None if shown.mean is None else f"{shown.mean:.{_DIGITS}f}",
        names.ANNOTATION_DRIFT_AVG: None if shown.score_avg is None else f"{shown.score_avg:.{_DIGITS}f}",
        names.ANNOTATION_DRIFT_ALARMS: str(shown.alarms),
        names.ANNOTATION_DRIFT_SAMPLES: str(shown.samples),
    }
    return {key: value for key, value in figures.items() if value is not None}


def _held(before: DriftStatus, policy: Drift) -> tuple[bool, bool]:
    """Return whether the last figures were a drop, and whether they were a systemic fault.

    What is shown is rounded: on the bound itself it may have been less.
    """
    dropped = before.drop is not None and _exact(before.drop) > _exact(policy.alarm_drop)
    return (
        dropped and before.samples >= policy.min_samples,
        before.rejection_rate is not None and before.rejection_rate > policy.max_rejection_rate,
    )


def _words(  # noqa: PLR0911 -- one return for each thing to say
    shown: DriftStatus,
    reports: list[DriftReport],
    policy: Drift,
    *,
    model: ModelRef | None,
    alarm: bool,
    systemic: bool,
) -> tuple[str, str, str]:
    name = model.name if model else ""
    told = (
        f"{shown.rejection_rate or 0.0:.{_DIGITS}f} of the requests are rejected as {names.SYSTEMIC_REASON}, more than "
        f"{policy.max_rejection_rate:g} (maxRejectionRate): a systemic fault, look at what is sent and at the threshold"
    )
    figures = (
        f"mean cetacean score {shown.mean or 0.0:.{_DIGITS}f} of {name} over {shown.samples} samples, "
        f"{shown.drop or 0.0:.{_DIGITS}f} below its baseline {shown.baseline or 0.0:g}"
    )
    dropped = f"{figures}: at least {policy.alarm_drop:g} (alarmDrop)"
    if systemic:
        # Where most of what is sent is no whale the mean drops too: the rejections are what to look at first.
        return "True", "SystemicRejection", f"{told}; {dropped}" if alarm else told
    if alarm:
        return "True", "ScoreDropped", dropped
    if model is None:
        return "Unknown", "NothingServes", "no pod serves"
    if not reports:
        return "Unknown", "NoReports", "no pod has reported its scores"
    if shown.baseline is None:
        told = "its metrics snapshot holds no cetaceanScoreMean, so no drop can be seen"
        return "Unknown", "NoBaseline", f"{name} has no baseline: {told}"
    if shown.samples < policy.min_samples:
        few = f"{shown.samples} samples of at least {policy.min_samples} (minSamples)"
        return "Unknown", "TooFewSamples", few
    return "False", "WithinBounds", f"{figures}: less than {policy.alarm_drop:g} (alarmDrop)"


def _weighted(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _settle(value: float | None, before: float | None) -> float | None:
    """Round, and stay where it was while it has moved by no more than the last digit: no write for noise."""
    if value is None:
        return None
    if before is not None and abs(value - before) <= _UNIT:
        return before
    return round(value, _DIGITS)


def _exact(value: float) -> Decimal:
    # 0.93 - 0.83 is a little more than 0.1 in binary, 0.9 - 0.8 a little less.
    return Decimal(repr(round(value, 9)))
