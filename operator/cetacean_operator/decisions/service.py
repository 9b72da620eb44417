"""Availability and the 95th percentile of the response time, over all ready pods together.

Unlike drift this is not about one model: during a rollout old and new pods answer clients.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import ServiceLevel
from cetacean_operator.api.status import ServiceStatus
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.hysteresis import held, steady
from cetacean_operator.decisions.quantiles import count, percentile, pool
from cetacean_operator.decisions.silent_pods import describe_silent

_PERCENT = 95


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """Figures to show, and the two conditions that follow from them."""

    shown: ServiceStatus | None
    availability: ConditionState
    latency: ConditionState


@dataclass(frozen=True, slots=True)
class _PooledRequests:
    """Figures of all pods together; None if there are too few requests."""

    availability: float | None
    """Percent."""
    p95: float | None
    """Seconds."""
    pods: int
    reports: int
    silent: str
    """The end of a message, naming pods without figures."""


def judge_service(*, pods: Iterable[Pod], policy: ServiceLevel, last: ServiceStatus | None) -> ServiceVerdict:
    """Judge availability and response time by the bounds.

    Args:
        pods: ready pods, whatever they serve.
        policy: the bounds.
        last: the figures shown last; see `hysteresis` for when they change.
    """
    pooled, last = _pool(tuple(pods), policy), last or ServiceStatus()
    availability, p95 = pooled.availability, pooled.p95
    if pooled.pods and not pooled.reports:
        availability = held(last.availability_percent, below=policy.min_availability_percent)
        p95 = held(last.p95_seconds, above=policy.max_p95_seconds)
    shown = ServiceStatus(
        availability_percent=steady(
            availability, last.availability_percent, digits=1, bound=policy.min_availability_percent
        ),
        p95_seconds=steady(
            p95, last.p95_seconds, digits=2, step=(last.p95_seconds or 0.0) / 20, bound=policy.max_p95_seconds
        ),
    )
    unknown = _unknown(pooled, policy)
    return ServiceVerdict(
        shown if shown != ServiceStatus() else None,
        unknown if availability is None else _availability(availability, shown, policy, pooled.silent),
        unknown if p95 is None else _latency(p95, shown, policy, pooled.silent),
    )


def _pool(pods: tuple[Pod, ...], policy: ServiceLevel) -> _PooledRequests:
    reports = [pod.service for pod in pods if pod.service is not None]
    rated = [(r.requests, r.availability_percent) for r in reports if r.availability_percent is not None]
    requests = sum(number for number, _ in rated)
    durations = pool(report.durations for report in reports)
    return _PooledRequests(
        availability=sum(n * percent for n, percent in rated) / requests if requests >= policy.min_requests else None,
        p95=percentile(_PERCENT, durations) if count(durations) >= policy.min_requests else None,
        pods=len(pods),
        reports=len(reports),
        silent=describe_silent([pod for pod in pods if pod.service is None], len(pods)),
    )


def _unknown(pooled: _PooledRequests, policy: ServiceLevel) -> ConditionState:
    if not pooled.pods:
        return ConditionState("Unknown", "NothingServes", "no pod serves")
    if not pooled.reports:
        return ConditionState("Unknown", "NoReports", f"no pod has reported its requests{pooled.silent}")
    message = f"fewer than {policy.min_requests} requests (minRequests){pooled.silent}"
    return ConditionState("Unknown", "TooFewRequests", message)


def _availability(exact: float, shown: ServiceStatus, policy: ServiceLevel, silent: str) -> ConditionState:
    bound = f"{policy.min_availability_percent:g} % (minAvailabilityPercent)"
    figure = f"{shown.availability_percent:.15g} % of the recent requests were not answered with 5xx"
    if exact < policy.min_availability_percent:
        return ConditionState("True", "AvailabilityBelowBound", f"{figure}, less than {bound}{silent}")
    return ConditionState("False", "WithinBounds", f"{figure}: at least {bound}{silent}")


def _latency(exact: float, shown: ServiceStatus, policy: ServiceLevel, silent: str) -> ConditionState:
    bound = f"{policy.max_p95_seconds:g} s (maxP95Seconds)"
    figure = f"95 of 100 recent answers to single pictures took up to {shown.p95_seconds:.15g} s"
    if exact > policy.max_p95_seconds:
        return ConditionState("True", "LatencyAboveBound", f"{figure}, more than {bound}{silent}")
    return ConditionState("False", "WithinBounds", f"{figure}: at most {bound}{silent}")
