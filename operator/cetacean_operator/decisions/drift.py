"""Drift: the pods' windows pooled by sample count, compared with the serving model's own baseline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from cetacean_operator.api import names
from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import Drift
from cetacean_operator.api.status import DriftStatus, ModelRef
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.hysteresis import held, steady
from cetacean_operator.decisions.silent_pods import describe_silent

_DIGITS = 3


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """Figures to show, exact figures to decide by, and the condition that follows."""

    shown: DriftStatus
    mean: float | None
    """Not rounded."""
    alarm: bool
    """The mean lies too far below the baseline now; False for an alarm that is only held."""
    condition: ConditionState


@dataclass(frozen=True, slots=True)
class _PooledScores:
    """Figures of the pods that serve the model, together."""

    samples: int
    mean: float | None
    score_avg: float | None
    alarms: int
    requests: float
    rejections: float
    answered: int
    """Pods with figures."""
    silent: tuple[Pod, ...]
    """Pods without figures."""

    @property
    def pods(self) -> int:
        return self.answered + len(self.silent)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The figures beside their bounds."""

    rejection_rate: float | None
    """None if there are too few requests."""
    dropped: bool
    """The mean lies too far below the baseline."""
    systemic: bool
    """Too many requests are rejected as no marine mammal."""


def judge_drift(
    *, pods: Iterable[Pod], model: ModelRef | None, baseline: float | None, policy: Drift, last: DriftStatus | None
) -> DriftVerdict:
    """Judge the scores of the pods that serve a model.

    Args:
        pods: ready pods, whatever they serve.
        model: the model that serves, None if nothing does.
        baseline: its mean cetacean score on its evaluation set.
        policy: the bounds.
        last: the figures shown last for this model; see `hysteresis` for when they change.
    """
    pooled = _pool(pods, model)
    fresh = _compare(pooled, baseline, policy)
    shown, judged = _hold(pooled, fresh, baseline, policy, last)
    condition = _condition(shown, judged, policy, model=model, answered=pooled.answered)
    message = condition.message + describe_silent(pooled.silent, pooled.pods)
    # If most pictures are rejected, the pictures or the threshold are at fault: another model would not help.
    alarm = fresh.dropped and not fresh.systemic
    return DriftVerdict(shown, pooled.mean, alarm, condition._replace(message=message))


def drift_annotations(shown: DriftStatus) -> dict[str, str]:
    """Return the figures as the resource's annotations; unknown figures are absent, and all of them without samples."""
    if not (shown.samples or shown.alarms):
        return {}
    figures = {
        names.ANNOTATION_DRIFT_MEAN: None if shown.mean is None else f"{shown.mean:.{_DIGITS}f}",
        names.ANNOTATION_DRIFT_AVG: None if shown.score_avg is None else f"{shown.score_avg:.{_DIGITS}f}",
        names.ANNOTATION_DRIFT_ALARMS: str(shown.alarms),
        names.ANNOTATION_DRIFT_SAMPLES: str(shown.samples),
    }
    return {key: value for key, value in figures.items() if value is not None}


def _pool(pods: Iterable[Pod], model: ModelRef | None) -> _PooledScores:
    """Pool the figures of the pods that serve the model, weighted by samples."""
    own = [pod for pod in pods if model and (pod.identity is None or pod.identity.digest == model.digest)]
    reports = [pod.drift for pod in own if pod.silent is None and pod.drift is not None]
    return _PooledScores(
        samples=sum(report.samples for report in reports),
        mean=_weighted((report.mean, report.samples) for report in reports),
        score_avg=_weighted((report.score_avg, report.samples) for report in reports),
        alarms=sum(report.alarms for report in reports),
        requests=sum(report.requests for report in reports),
        rejections=sum(report.rejections for report in reports),
        answered=len(reports),
        silent=tuple(pod for pod in own if pod.silent is not None or pod.drift is None),
    )


def _compare(pooled: _PooledScores, baseline: float | None, policy: Drift) -> _Comparison:
    """Compare the exact figures with the bounds; a drop of exactly the bound is an alarm."""
    enough = pooled.requests > 0 and pooled.requests >= policy.min_samples
    rate = pooled.rejections / pooled.requests if enough else None
    dropped = (
        pooled.mean is not None
        and baseline is not None
        and pooled.samples >= policy.min_samples
        and _exact(baseline - pooled.mean) >= _exact(policy.alarm_drop)
    )
    return _Comparison(rate, dropped, systemic=rate is not None and rate > policy.max_rejection_rate)


def _hold(
    pooled: _PooledScores, fresh: _Comparison, baseline: float | None, policy: Drift, last: DriftStatus | None
) -> tuple[DriftStatus, _Comparison]:
    """Return the figures to show and the comparison to report; both are the last ones while an alarm is held."""
    if last is not None and pooled.silent and not pooled.answered:
        # The last drop is rounded: on the bound itself the exact one may have been less, so it is no alarm.
        dropped = held(last.drop, above=policy.alarm_drop) is not None and last.samples >= policy.min_samples
        systemic = held(last.rejection_rate, above=policy.max_rejection_rate) is not None
        if dropped or systemic:
            shown = last.model_copy(update={"pods_scraped": 0, "pods_silent": pooled.pods})
            return shown, _Comparison(last.rejection_rate, dropped, systemic)
    old = last or DriftStatus()
    mean = steady(pooled.mean, old.mean, digits=_DIGITS)
    shown = DriftStatus(
        samples=pooled.samples,
        mean=mean,
        baseline=baseline,
        drop=None if mean is None or baseline is None else round(baseline - mean, _DIGITS),
        alarms=pooled.alarms,
        score_avg=steady(pooled.score_avg, old.score_avg, digits=_DIGITS),
        rejection_rate=steady(fresh.rejection_rate, old.rejection_rate, digits=_DIGITS),
        pods_scraped=pooled.answered,
        pods_silent=len(pooled.silent),
    )
    return shown, fresh


def _condition(  # noqa: PLR0911 -- one return for each reason
    shown: DriftStatus, judged: _Comparison, policy: Drift, *, model: ModelRef | None, answered: int
) -> ConditionState:
    name = model.name if model else ""
    rejected = (
        f"{shown.rejection_rate or 0.0:.{_DIGITS}f} of the requests are rejected as {names.SYSTEMIC_REASON}, more than "
        f"{policy.max_rejection_rate:g} (maxRejectionRate): a systemic fault, check what is sent and the threshold"
    )
    figures = (
        f"mean cetacean score {shown.mean or 0.0:.{_DIGITS}f} of {name} over {shown.samples} samples, "
        f"{shown.drop or 0.0:.{_DIGITS}f} below its baseline {shown.baseline or 0.0:g}"
    )
    dropped = f"{figures}: at least {policy.alarm_drop:g} (alarmDrop)"
    if judged.systemic:
        # If most of what is sent is no whale, the mean drops too: the rejections are to be checked first.
        return ConditionState("True", "SystemicRejection", f"{rejected}; {dropped}" if judged.dropped else rejected)
    if judged.dropped:
        return ConditionState("True", "ScoreDropped", dropped)
    if model is None:
        return ConditionState("Unknown", "NothingServes", "no pod serves")
    if not answered:
        return ConditionState("Unknown", "NoReports", "no pod has reported its scores")
    if shown.baseline is None:
        missing = "its metrics snapshot has no cetaceanScoreMean, so no drop can be found"
        return ConditionState("Unknown", "NoBaseline", f"{name} has no baseline: {missing}")
    if shown.samples < policy.min_samples:
        few = f"{shown.samples} samples of at least {policy.min_samples} (minSamples)"
        return ConditionState("Unknown", "TooFewSamples", few)
    return ConditionState("False", "WithinBounds", f"{figures}: less than {policy.alarm_drop:g} (alarmDrop)")


def _weighted(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _exact(value: float) -> Decimal:
    # 0.93 - 0.83 is a little more than 0.1 in binary, 0.9 - 0.8 a little less.
    return Decimal(repr(round(value, 9)))
