"""Availability and the 95th percentile, pooled over the pods, each a condition with its figures."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operator_world import World
from support.pods import ready_pod

from cetacean_operator.api.observed import Pod, ServiceReport
from cetacean_operator.api.spec import ServiceLevel
from cetacean_operator.api.status import ServiceStatus
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.quantiles import Histogram, percentile, pool
from cetacean_operator.decisions.service import ServiceVerdict, judge_service

BOUNDS = (0.1, 0.5, 1.0, 2.0, 5.0, math.inf)


def histogram(*seconds: float) -> Histogram:
    return tuple((bound, float(sum(value <= bound for value in seconds))) for bound in BOUNDS)


def pod(number: int, *seconds: float, percent: float | None = 100.0, requests: float = 100.0) -> Pod:
    return ready_pod(number, service=ServiceReport(requests, percent, tuple(histogram(*seconds))))


def judged(*pods: Pod, last: ServiceStatus | None = None, **policy: float) -> ServiceVerdict:
    return judge_service(pods=pods, policy=ServiceLevel.model_validate(policy), last=last)


def pod_at(p95: float) -> Pod:
    """A pod whose 95th percentile is this one; buckets alone would give a few values, none of them near a bound."""
    return ready_pod(1, service=ServiceReport(100.0, 100.0, ((p95 / 0.95, 100.0), (math.inf, 100.0))))


percents = st.floats(94.8, 95.2) | st.floats(0, 100)
"""Availabilities; many lie closer to the bound of 95 than the figure shown is exact."""
latencies = st.floats(0.94, 1.06) | st.floats(0.01, 4.9)
"""Percentiles in seconds, for a bound of 1; many lie closer to it than the figure shown is exact."""
samples = st.lists(st.floats(0.001, 10.0), min_size=1, max_size=60)


@given(st.lists(samples, min_size=1, max_size=5))
def test_the_percentile_of_pooled_pods_lies_in_the_bucket_of_that_of_all_requests(pods: list[list[float]]) -> None:
    found = percentile(95, pool(histogram(*seconds) for seconds in pods))
    everything = sorted(value for seconds in pods for value in seconds)
    exact = everything[math.ceil(len(everything) * 95 / 100) - 1]
    assert found is not None
    index = bisect_left(BOUNDS, exact)
    lower, upper = BOUNDS[index - 1] if index else 0.0, min(BOUNDS[index], BOUNDS[-2])
    assert lower <= found <= upper


@given(st.lists(samples, min_size=1, max_size=5))
def test_the_percentile_of_all_pods_lies_between_those_of_the_best_and_the_worst(pods: list[list[float]]) -> None:
    each = [percentile(95, histogram(*seconds)) or 0.0 for seconds in pods]
    pooled = percentile(95, pool(histogram(*seconds) for seconds in pods))
    assert pooled is not None
    assert min(each) - 1e-9 <= pooled <= max(each) + 1e-9


@given(samples, st.integers(1, 99), st.integers(1, 99))
def test_percentiles_rise(seconds: list[float], one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert (percentile(low, histogram(*seconds)) or 0.0) <= (percentile(high, histogram(*seconds)) or 0.0)


def test_pods_of_two_releases_are_pooled_at_the_bounds_that_both_have() -> None:
    old = ((1.0, 8.0), (2.0, 9.0), (math.inf, 10.0))
    new = ((0.5, 3.0), (1.0, 5.0), (math.inf, 10.0))
    assert pool([old, (), new]) == ((1.0, 13.0), (math.inf, 20.0))


def test_an_empty_histogram_has_no_percentile() -> None:
    assert percentile(95, ()) is None
    assert percentile(95, histogram()) is None


@pytest.mark.parametrize(
    ("slow", "high"), [(5, False), (6, True)], ids=["exactly 95 of 100 in time", "one more is late"]
)
def test_latency_is_above_its_bound_if_more_than_5_of_100_answers_are_late(slow: int, high: bool) -> None:
    verdict = judged(pod(1, *[0.3] * 50, *[4.0] * slow), pod(2, *[2.0] * (50 - slow)))
    assert verdict.latency[:2] == (("True", "LatencyAboveBound") if high else ("False", "WithinBounds"))
    assert verdict.availability[0] == "False"


@pytest.mark.parametrize(
    ("pods", "shown", "low"),
    [
        ((pod(1, percent=95.0),), 95.0, False),
        ((pod(1, percent=94.9),), 94.9, True),
        ((pod(1, percent=100.0, requests=900), pod(2, percent=40.0, requests=100)), 94.0, True),
        ((pod(1, percent=100.0, requests=950), pod(2, percent=40.0, requests=50)), 97.0, False),
        ((pod(1, percent=100.0, requests=19), pod(2, percent=None)), None, False),
        ((pod(1, percent=94.96, requests=1000),), 94.96, True),
        ((pod(1, percent=94.99999996, requests=1000),), 94.99999996, True),
    ],
)
def test_availability_is_weighted_by_requests(pods: tuple[Pod, ...], shown: float | None, low: bool) -> None:
    verdict = judged(*pods)
    assert (verdict.shown.availability_percent if verdict.shown else None) == shown
    assert (verdict.availability[0] == "True") == low
    if low:
        for part in (f"{shown:.15g} % of", "95 %", "minAvailabilityPercent"):
            assert part in verdict.availability[2]


@pytest.mark.parametrize(
    ("pods", "reason"),
    [
        ((), "NothingServes"),
        ((replace(pod(1), service=None, silent="no answer within 3 s"),), "NoReports"),
        ((pod(1, *[9.0] * 19, percent=0.0, requests=19.0),), "TooFewRequests"),
    ],
)
def test_availability_and_latency_are_unknown_for_a_reason(pods: tuple[Pod, ...], reason: str) -> None:
    verdict = judged(*pods)
    assert verdict.availability[:2] == verdict.latency[:2] == ("Unknown", reason)
    assert verdict.shown is None


def test_without_a_pod_nothing_is_known_of_both() -> None:
    unknown = ConditionState("Unknown", "NothingServes", "no pod serves")
    assert judged() == ServiceVerdict(None, unknown, unknown)


SHARE, TIME = "% of the recent requests were not answered with 5xx", "95 of 100 recent answers to single pictures took"


def test_as_many_requests_as_are_needed_within_both_bounds() -> None:
    found = judged(
        replace(pod_at(0.1875), service=ServiceReport(20.0, 97.5, ((0.1875 / 0.95, 20.0), (math.inf, 20.0))))
    )
    assert found == ServiceVerdict(
        ServiceStatus(availability_percent=97.5, p95_seconds=0.19),
        ConditionState("False", "WithinBounds", f"97.5 {SHARE}: at least 95 % (minAvailabilityPercent)"),
        ConditionState("False", "WithinBounds", f"{TIME} up to 0.19 s: at most 2 s (maxP95Seconds)"),
    )


def test_both_bounds_missed() -> None:
    found = judged(replace(pod_at(2.5), service=ServiceReport(20.0, 94.5, ((2.5 / 0.95, 20.0), (math.inf, 20.0)))))
    assert found == ServiceVerdict(
        ServiceStatus(availability_percent=94.5, p95_seconds=2.5),
        ConditionState("True", "AvailabilityBelowBound", f"94.5 {SHARE}, less than 95 % (minAvailabilityPercent)"),
        ConditionState("True", "LatencyAboveBound", f"{TIME} up to 2.5 s, more than 2 s (maxP95Seconds)"),
    )


@pytest.mark.parametrize(("then", "shown"), [(99.42, 99.5), (99.58, 99.5), (99.62, 99.6), (99.38, 99.4)])
def test_the_availability_shown_moves_by_more_than_a_tenth_of_a_percent(then: float, shown: float) -> None:
    found = judged(pod(1, percent=then), last=ServiceStatus(availability_percent=99.5)).shown
    assert found == ServiceStatus(availability_percent=shown)


@pytest.mark.parametrize(
    ("last", "then", "shown"),
    [
        (1.0, 1.049, 1.0),
        (1.0, 1.051, 1.05),
        (1.0, 0.951, 1.0),
        (1.0, 0.948, 0.95),
        (0.04, 0.049, 0.04),
        (0.04, 0.052, 0.05),
        (0.0, 0.03, 0.03),
    ],
)
def test_the_latency_shown_moves_by_more_than_5_percent_and_a_hundredth(last: float, then: float, shown: float) -> None:
    found = judged(pod_at(then), last=ServiceStatus(availability_percent=100.0, p95_seconds=last)).shown
    assert found == ServiceStatus(availability_percent=100.0, p95_seconds=shown)


def test_availability_and_latency_name_silent_pods() -> None:
    silent = [replace(pod(n), service=None, silent="no answer within 3 s") for n in range(2, 7)]
    verdict = judged(pod(1, *[0.1] * 100), *silent)
    for _, _, message in (verdict.availability, verdict.latency):
        assert "no figures from 5 of 6 pods: p2 (no answer within 3 s), p3" in message
        assert "and 2 more" in message


def test_an_alarm_is_held_while_all_pods_are_silent() -> None:
    silent = replace(pod(1), service=None, silent="no answer within 3 s")
    bad = judged(pod(1, *[4.0] * 100, percent=50.0))
    held = judged(silent, last=bad.shown)
    assert held.shown == bad.shown
    assert (held.availability[0], held.latency[0]) == ("True", "True")
    assert "no figures from 1 of 1 pods" in held.latency[2]
    good = judged(pod(1, *[0.1] * 100)).shown
    assert judged(silent, last=good).availability[:2] == ("Unknown", "NoReports"), "nor is it taken for healthy"
    assert judged(last=bad.shown).latency[:2] == ("Unknown", "NothingServes")


@given(percents, percents)
def test_an_availability_that_hardly_moves_stays_and_never_contradicts_the_condition(first: float, then: float) -> None:
    before = judged(pod(1, percent=first)).shown
    verdict = judged(pod(1, percent=then), last=before)
    assert verdict.shown is not None
    assert before is not None
    shown, old = verdict.shown.availability_percent, before.availability_percent
    assert shown is not None
    assert old is not None
    assert (shown < 95.0) == (then < 95.0) == (verdict.availability[0] == "True")
    assert abs(shown - then) <= 0.1 + 1e-9
    # The bound itself is neither above nor below.
    crossed = (old < 95.0, old > 95.0) != (then < 95.0, then > 95.0)
    assert shown == old or abs(then - old) > 0.1 - 1e-9 or crossed
    assert judged(pod(1, percent=then), last=verdict.shown).shown == verdict.shown


@given(latencies, latencies)
def test_the_latency_shown_never_contradicts_the_condition(first: float, then: float) -> None:
    before = judged(pod_at(first), max_p95_seconds=1.0).shown
    verdict = judged(pod_at(then), last=before, max_p95_seconds=1.0)
    assert verdict.shown is not None
    assert verdict.shown.p95_seconds is not None
    assert (verdict.shown.p95_seconds > 1.0) == (verdict.latency[0] == "True")


def test_each_alarm_and_its_end_are_one_event() -> None:
    world = World()
    world.settle()
    for percent, seconds in ((100.0, 0.3), (80.0, 4.0), (79.0, 4.5), (60.0, 4.0), (99.0, 0.3), (99.5, 0.2)):
        for fake in world.pods:
            fake.service = ServiceReport(500.0, percent, tuple(histogram(*[seconds] * 100)))
        world.wait(minutes=1)
        world.settle()
        ill = percent < 95.0
        assert (world.is_("LowAvailability")[0] == "True") == (world.is_("HighLatency")[0] == "True") == ill
    reasons = [reason for reason in world.reasons if "Availab" in reason or "Latency" in reason]
    assert reasons == ["LowAvailability", "HighLatency", "AvailabilityAlarmEnded", "LatencyAlarmEnded"]
    assert world.is_("Ready")[0] == "True", "it is about the rollout"


def test_nothing_is_written_while_the_shown_figures_stay() -> None:
    world = World()
    world.settle()
    for fake in world.pods:
        fake.service = ServiceReport(500.0, 99.5, tuple(histogram(*[0.3] * 100)))
    world.settle()
    before = world.writes
    for fake in world.pods:
        fake.service = ServiceReport(520.0, 99.52, tuple(histogram(*[0.3] * 120)))
    world.settle()
    assert world.writes == before


def test_the_bounds_come_from_the_resource() -> None:
    slow = pod(1, *[4.0] * 100, percent=90.0)
    assert judged(slow, min_availability_percent=90, max_p95_seconds=5).availability[0] == "False"
    assert judged(slow, min_availability_percent=90, max_p95_seconds=5).latency[0] == "False"
    assert judged(slow, min_requests=101).latency[1] == "TooFewRequests"
