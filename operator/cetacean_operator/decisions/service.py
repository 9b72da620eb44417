"""What clients find: availability and the 95th percentile of the answers' time, over all ready pods together.

Unlike drift this is not about one model: whoever asks during a rollout is answered by the old pods and the new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import ServiceLevel
from cetacean_operator.api.status import ServiceStatus
from cetacean_operator.decisions.quantiles import count, percentile, pool
from cetacean_operator.decisions.silence import told_of

_PERCENT = 95


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """Figures to show, and the two conditions (status, reason, message) that they come to."""

    shown: ServiceStatus | None
    availability: tuple[str, str, str]
    latency: tuple[str, str, str]


def judge_service(*, pods: Iterable[Pod], policy: ServiceLevel, before: ServiceStatus | None) -> ServiceVerdict:
    """Pool what ready pods report.

    Args:
        pods: ready pods, whatever they serve.
        policy: the bounds.
        before: the figures shown last; one that has hardly moved, on the same side of its bound, stays as it was.
    """
    given, old = tuple(pods), before or ServiceStatus()
    reports = [pod.service for pod in given if pod.service is not None]
    silent = told_of([pod for pod in given if pod.service is None], len(given))
    requests = sum(report.requests for report in reports if report.availability_percent is not None)
    availability = (
        sum(r.requests * r.availability_percent for r in reports if r.availability_percent is not None) / requests
        if requests >= policy.min_requests
        else None
    )
    answers = pool(report.durations for report in reports)
    p95 = percentile(_PERCENT, answers) if count(answers) >= policy.min_requests else None
    if given and not reports:
        # An alarm is not over because nobody answers any more.
        availability, p95 = _held(old, policy)
    shown = ServiceStatus(
        availability_percent=_settle(
            availability, old.availability_percent, policy.min_availability_percent, step=0.1, digits=1
        ),
        p95_seconds=_settle(p95, old.p95_seconds, policy.max_p95_seconds, step=(old.p95_seconds or 0) / 20, digits=2),
    )
    unknown = _unknown(given, reports, policy, silent)
    return ServiceVerdict(
        shown if shown != ServiceStatus() else None,
        unknown if availability is None else _availability(availability, shown, policy, silent),
        unknown if p95 is None else _latency(p95, shown, policy, silent),
    )


def _held(old: ServiceStatus, policy: ServiceLevel) -> tuple[float | None, float | None]:
    availability, p95 = old.availability_percent, old.p95_seconds
    return (
        availability if availability is not None and availability < policy.min_availability_percent else None,
        p95 if p95 is not None and p95 > policy.max_p95_seconds else None,
    )


def _unknown(
    pods: tuple[Pod, ...], reports: Sequence[object], policy: ServiceLevel, silent: str
) -> tuple[str, str, str]:
    if not pods:
        return "Unknown", "NothingServes", "no pod serves"
    if not reports:
        return "Unknown", "NoReports", f"no pod has reported its requests{silent}"
    return "Unknown", "TooFewRequests", f"fewer than {policy.min_requests} requests (minRequests){silent}"


def _availability(exact: float, shown: ServiceStatus, policy: ServiceLevel, silent: str) -> tuple[str, str, str]:
    bound = f"{policy.min_availability_percent:g} % (minAvailabilityPercent)"
    told = f"{shown.availability_percent:g} % of the recent requests were not answered with 5xx"
    if exact < policy.min_availability_percent:
        return "True", "AvailabilityBelowBound", f"{told}, less than {bound}{silent}"
    return "False", "WithinBounds", f"{told}: at least {bound}{silent}"


def _latency(exact: float, shown: ServiceStatus, policy: ServiceLevel, silent: str) -> tuple[str, str, str]:
    bound = f"{policy.max_p95_seconds:g} s (maxP95Seconds)"
    told = f"95 of 100 recent answers to single pictures took up to {shown.p95_seconds:g} s"
    if exact > policy.max_p95_seconds:
        return "True", "LatencyAboveBound", f"{told}, more than {bound}{silent}"
    return "False", "WithinBounds", f"{told}: at most {bound}{silent}"


def _settle(value: float | None, before: float | None, bound: float, *, step: float, digits: int) -> float | None:
    """Round, and stay where it was while it has moved by no more than `step` and not over the bound."""
    if value is None:
        return None
    unit = 10.0**-digits
    same_side = before is not None and (before > bound, before < bound) == (value > bound, value < bound)
    if before is not None and same_side and abs(value - before) <= max(step, unit):
        return before
    rounded = round(value, digits)
    # 94.96 of at least 95 is too little, and must not be shown as 95.
    if value < bound <= rounded or value > bound >= rounded:
        return float(f"{value:.6g}")
    return rounded
