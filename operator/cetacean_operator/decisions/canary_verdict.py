"""Judge a canary by the candidate's answers to clients, beside those of the other pods over the same time.

The share of answers with 5xx is bounded on both sides by confidence sequences, which hold however often they are
judged (`confidence_sequence`). The candidate fails if even its lowest share of errors exceeds the highest one of the
other pods by more than is allowed. It passes if even its highest share does not exceed the lowest one by more. The time
of its answers is compared with the median of the other pods: more than half of them must lie within the ratio to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cetacean_operator.api.observed import Pod
from cetacean_operator.api.stages import CanaryRequirement
from cetacean_operator.decisions.confidence_sequence import share_bounds
from cetacean_operator.decisions.quantiles import Histogram, percentile, pool
from cetacean_operator.decisions.quantiles import count as observations
from cetacean_operator.decisions.shadow_verdict import ALPHA, Outcome
from cetacean_operator.decisions.stage_record import CanaryBegin, PodCounters

_ALPHA_FAIL: Final = ALPHA / 3
"""Three bounds can refuse wrongly: the errors of both groups, and the times."""
_ALPHA_PASS: Final = ALPHA / 2
"""A candidate with too many errors passes only if one of the bounds of both groups is wrong."""
_FEWEST_TIMES: Final = 30
"""With fewer times of the other pods their median is not known."""
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers of one group of pods since the canary began."""

    requests: int
    errors: int
    times: Histogram
    """Of answers to single pictures."""

    @property
    def median(self) -> float | None:
        """Seconds, None without any."""
        return percentile(50, self.times)


@dataclass(frozen=True, slots=True)
class CanaryShare:
    """A requirement beside its figures."""

    name: str
    successes: int
    trials: int
    low: float
    high: float
    smallest: float


@dataclass(frozen=True, slots=True)
class CanaryVerdict:
    """The outcome, and what decides it."""

    outcome: Outcome
    reason: str
    """Agrees, Slower, Failing or Running."""
    message: str
    shares: tuple[CanaryShare, ...] = ()


def answered(pods: Iterable[Pod], begin: CanaryBegin) -> Answered:
    """Return the answers of pods since the canary began; a pod that has restarted counts from zero."""
    requests = errors = 0.0
    times: list[Histogram] = []
    for pod in pods:
        before = begin.pods.get(pod.uid)
        if pod.service is None or (before is None and (pod.started_at or begin.at) < begin.at):
            continue  # its counters at the begin are not known
        report, before = pod.service, before or PodCounters(times={})
        if report.requests_total < before.requests or report.errors_total < before.errors:
            before = PodCounters(times={})
        requests += report.requests_total - before.requests
        errors += report.errors_total - before.errors
        if before.times is not None:
            times.append(_growth(report.durations_total, before.times))
    return Answered(int(requests), min(int(requests), int(errors)), pool(times))


def _growth(times: Histogram, before: Mapping[float, float]) -> Histogram:
    """Return the answers since `before`, at the bounds that both have; all of them if nothing was counted before."""
    if not before:
        return times
    grown = [(bound, upto - before[bound]) for bound, upto in times if bound in before]
    # Counters that have shrunk are those of a process that has restarted.
    return times if any(number < 0 for _, number in grown) else grown


def judge_canary(
    candidate: Answered, stable: Answered, require: CanaryRequirement, *, held_for: float
) -> CanaryVerdict:
    """Judge the answers of both groups.

    Args:
        candidate: of the candidate's pods.
        stable: of the pods that serve otherwise.
        require: of the stage.
        held_for: seconds since the canary began.
    """
    allowed = require.max_error_increase_percent / 100
    errors = _errors(candidate, stable, allowed)
    times = _times(candidate, stable, require.max_latency_ratio)
    shares = (errors, times) if times else (errors,)
    lowest, highest = _error_bounds(candidate, _ALPHA_FAIL)
    if lowest > _error_bounds(stable, _ALPHA_FAIL)[1] + allowed:
        return CanaryVerdict(Outcome.FAILED, "Failing", _describe_errors(candidate, stable, allowed), shares)
    if times and share_bounds(times.successes, times.trials, alpha=_ALPHA_FAIL).high < _HALF:
        return CanaryVerdict(Outcome.FAILED, "Slower", _describe_times(candidate, stable, times), shares)
    highest = _error_bounds(candidate, _ALPHA_PASS)[1]
    missing = []
    if candidate.requests < require.requests:
        missing.append(f"at least {require.requests} are needed")
    if highest > _error_bounds(stable, _ALPHA_PASS)[0] + allowed:
        missing.append(f"up to {highest:.1%} errors are possible")
    if times is None or times.low < _HALF:
        missing.append("too few times are known")
    if held_for < require.hold_for_seconds:
        missing.append(f"{require.hold_for_seconds} s (holdForSeconds) are not over")
    described = _describe_errors(candidate, stable, allowed)
    if missing:
        return CanaryVerdict(Outcome.UNDECIDED, "Running", f"{described}; {', '.join(missing)}", shares)
    return CanaryVerdict(Outcome.PASSED, "Agrees", described, shares)


def _error_bounds(group: Answered, alpha: float) -> tuple[float, float]:
    bounds = share_bounds(group.requests - group.errors, group.requests, alpha=alpha)
    return 1.0 - bounds.high, 1.0 - bounds.low


def _errors(candidate: Answered, stable: Answered, allowed: float) -> CanaryShare:
    rate = stable.errors / stable.requests if stable.requests else 0.0
    fine = candidate.requests - candidate.errors
    bounds = share_bounds(fine, candidate.requests, alpha=_ALPHA_PASS)
    return CanaryShare("answered without 5xx", fine, candidate.requests, *bounds, max(0.0, 1.0 - rate - allowed))


def _times(candidate: Answered, stable: Answered, ratio: float) -> CanaryShare | None:
    median = stable.median if observations(stable.times) >= _FEWEST_TIMES else None
    if median is None:
        return None
    last = max((upto for upto, _ in stable.times if math.isfinite(upto)), default=0.0)
    # Beyond the last finite bound nobody knows how long the other pods took, so nothing is slower than they are.
    bound = median * ratio if median < last else math.inf
    total = int(observations(candidate.times))
    within = min(_within(candidate.times, bound), total)
    return CanaryShare(
        "not slower than the bound", within, total, *share_bounds(within, total, alpha=_ALPHA_PASS), _HALF
    )


def _within(times: Sequence[tuple[float, float]], bound: float) -> int:
    """Return how many answers took no longer; of a bucket that the bound cuts, all count for the candidate."""
    return next((int(number) for upto, number in times if upto >= bound or math.isinf(upto)), 0)


def _describe_errors(candidate: Answered, stable: Answered, allowed: float) -> str:
    return (
        f"{candidate.errors} of {candidate.requests} answers of the candidate were 5xx, {stable.errors} of "
        f"{stable.requests} of the other pods: expected at most {100 * allowed:g} percentage points more"
    )


def _describe_times(candidate: Answered, stable: Answered, times: CanaryShare) -> str:
    return (
        f"{times.trials - times.successes} of {times.trials} answers of the candidate took longer than the bound: "
        f"median {candidate.median:.3f} s, {stable.median:.3f} s of the other pods"
    )
