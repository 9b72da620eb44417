"""Drift: the pods' windows pooled by sample count, compared with the serving model's own figures.

The playbook's rules on the mean score and on rejections are here; `signals` has those on the newest answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from cetacean_operator.api import names
from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import Drift
from cetacean_operator.api.status import DriftStatus, ModelRef, SignalName
from cetacean_operator.decisions.answers import PooledAnswers, pool_answers
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.drift_condition import Comparison, drifting, score_condition, score_signal
from cetacean_operator.decisions.hysteresis import held, steady
from cetacean_operator.decisions.signals import SignalVerdict, held_signals, judge_signals
from cetacean_operator.decisions.silent_pods import describe_silent
from cetacean_registry.figures import ModelMetrics

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
    signals: tuple[SignalVerdict, ...] = ()
    """Those about the newest answers."""

    @property
    def identification_signals(self) -> tuple[SignalName, ...]:
        """The signals raised now by what the identification model produces; empty for alarms that are only held."""
        return tuple(one.shown.signal for one in self.signals if one.from_identification)


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
    answers: PooledAnswers | None
    """None if no pod has reported its answers."""

    @property
    def all_silent(self) -> bool:
        """True if there are pods and none of them gave figures."""
        return bool(self.silent) and not self.answered

    @property
    def pods(self) -> int:
        return self.answered + len(self.silent)


def judge_drift(
    *,
    pods: Iterable[Pod],
    model: ModelRef | None,
    metrics: ModelMetrics | None,
    policy: Drift,
    last: DriftStatus | None,
) -> DriftVerdict:
    """Judge the answers of the pods that serve a model.

    Args:
        pods: ready pods, whatever they serve.
        model: the model that serves, None if nothing does.
        metrics: its figures on its evaluation set; the baseline is its mean cetacean score.
        policy: the bounds.
        last: the figures shown last for this model; see `hysteresis` for when they change.
    """
    baseline = metrics.cetacean_score_mean if metrics else None
    pooled = _pool(pods, model, policy.signals.window)
    fresh = _compare(pooled, baseline, policy)
    shown, judged = _hold(pooled, fresh, baseline, policy, last)
    signals = _judge_signals(pooled, metrics, policy, last)
    score = score_condition(shown, judged, policy, model=model, answered=pooled.answered)
    condition = drifting(score, judged, shown, policy, signals)
    every = (score_signal(score, shown, policy), *(one.shown for one in signals))
    shown = shown.model_copy(update={"signals": every})
    message = condition.message + describe_silent(pooled.silent, pooled.pods)
    # If most pictures are rejected, the pictures or the threshold are at fault: another model would not help.
    alarm = fresh.dropped and not fresh.systemic
    return DriftVerdict(shown, pooled.mean, alarm, condition._replace(message=message), signals)


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


def _pool(pods: Iterable[Pod], model: ModelRef | None, window: int) -> _PooledScores:
    """Pool the figures of the pods that serve the model, weighted by samples.

    Answers of a pod that holds more than the window are left out until it has read the monitoring file again: it would
    count for more than the others.
    """
    own = [pod for pod in pods if model and _may_serve(pod, model)]
    reports = [pod.drift for pod in own if pod.silent is None and pod.drift is not None]
    answers = [report.answers for report in reports if report.answers and report.answers.answered <= window]
    return _PooledScores(
        samples=sum(report.samples for report in reports),
        mean=_weighted((report.mean, report.samples) for report in reports),
        score_avg=_weighted((report.score_avg, report.samples) for report in reports),
        alarms=sum(report.alarms for report in reports),
        requests=sum(report.requests for report in reports),
        rejections=sum(report.rejections for report in reports),
        answered=len(reports),
        silent=tuple(pod for pod in own if pod.silent is not None or pod.drift is None),
        answers=pool_answers(answers) if answers else None,
    )


def _may_serve(pod: Pod, model: ModelRef) -> bool:
    is_loaded = pod.identity is None or pod.identity.digest == model.digest
    return is_loaded and pod.definition == model.definition


def _compare(pooled: _PooledScores, baseline: float | None, policy: Drift) -> Comparison:
    """Compare the exact figures with the bounds; a drop of exactly the bound is an alarm."""
    rate = pooled.rejections / pooled.requests if pooled.requests >= policy.min_samples else None
    dropped = (
        pooled.mean is not None
        and baseline is not None
        and pooled.samples >= policy.min_samples
        and _exact(baseline - pooled.mean) >= _exact(policy.alarm_drop)
    )
    return Comparison(rate, dropped, systemic=rate is not None and rate > policy.max_rejection_rate)


def _hold(
    pooled: _PooledScores, fresh: Comparison, baseline: float | None, policy: Drift, last: DriftStatus | None
) -> tuple[DriftStatus, Comparison]:
    """Return the figures to show and the comparison to report; both are the last ones while an alarm is held."""
    if last is not None and pooled.all_silent:
        # The last drop is rounded: on the bound itself the exact one may have been less, so it is no alarm.
        dropped = held(last.drop, above=policy.alarm_drop) is not None and last.samples >= policy.min_samples
        systemic = held(last.rejection_rate, above=policy.max_rejection_rate) is not None
        if dropped or systemic:
            shown = last.model_copy(update={"pods_scraped": 0, "pods_silent": pooled.pods})
            return shown, Comparison(last.rejection_rate, dropped, systemic)
    old = last or DriftStatus()
    mean = steady(pooled.mean, old.mean, digits=_DIGITS)
    shown = DriftStatus(
        samples=pooled.samples,
        mean=mean,
        baseline=baseline,
        drop=None if mean is None or baseline is None else round(baseline - mean, _DIGITS),
        alarms=pooled.alarms,
        score_avg=steady(pooled.score_avg, old.score_avg, digits=_DIGITS),
        rejection_rate=steady(
            fresh.rejection_rate, old.rejection_rate, digits=_DIGITS, bound=policy.max_rejection_rate
        ),
        pods_scraped=pooled.answered,
        pods_silent=len(pooled.silent),
    )
    return shown, fresh


def _judge_signals(
    pooled: _PooledScores, metrics: ModelMetrics | None, policy: Drift, last: DriftStatus | None
) -> tuple[SignalVerdict, ...]:
    shown = last.signals if last else ()
    if pooled.all_silent:
        return held_signals(shown, policy.signals)
    return judge_signals(pooled.answers, metrics, policy.signals, shown)


def _weighted(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _exact(value: float) -> Decimal:
    # 0.93 - 0.83 is a little more than 0.1 in binary, 0.9 - 0.8 a little less.
    return Decimal(repr(round(value, 9)))
