"""The verdict on a canary by the answers of both groups: whole messages, and the counts from which on it changes."""

from __future__ import annotations

import math

import pytest
from support.operator_world import BEGIN
from support.pods import ready_pod

from cetacean_operator.api.observed import Pod, ServiceReport
from cetacean_operator.api.stages import CanaryRequirement
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.canary_verdict import Answered, CanaryShare, CanaryVerdict, answered, judge_canary
from cetacean_operator.decisions.confidence_sequence import share_bounds
from cetacean_operator.decisions.quantiles import Histogram
from cetacean_operator.decisions.shadow_verdict import Outcome
from cetacean_operator.decisions.stage_record import CanaryBegin, PodCounters

REQUIRE = CanaryRequirement(requests=100, hold_for_seconds=600)
NO_ERRORS = (
    "0 of 400 answers of the candidate were 5xx, 0 of 400 of the other pods: expected at most 2 percentage points more"
)


def group(requests: int, errors: int = 0, *, slow: int = 0) -> Answered:
    """Return answers within 0.1 s, `slow` of them within 0.15 s to 0.4 s."""
    fast = float(requests - slow)
    return Answered(requests, errors, ((0.1, fast), (0.15, fast), (0.4, float(requests)), (math.inf, float(requests))))


NOTHING = Answered(0, 0, ())


def judge(
    candidate: Answered, stable: Answered, require: CanaryRequirement = REQUIRE, *, held_for: float = 600.0
) -> CanaryVerdict:
    return judge_canary(candidate, stable, require, held_for=held_for)


def test_a_canary_that_meets_everything_passes_with_both_shares() -> None:
    bounds = share_bounds(400, 400, alpha=0.025)
    assert judge(group(400), group(400, 4)) == CanaryVerdict(
        Outcome.PASSED,
        "Agrees",
        "0 of 400 answers of the candidate were 5xx, 4 of 400 of the other pods: expected at most 2 percentage points "
        "more",
        (
            CanaryShare("answered without 5xx", 400, 400, bounds.low, bounds.high, 1.0 - 4 / 400 - 0.02),
            CanaryShare("not slower than the bound", 400, 400, bounds.low, bounds.high, 0.5),
        ),
    )


def test_without_answers_all_that_is_missing_is_named() -> None:
    assert judge(NOTHING, NOTHING, held_for=0) == CanaryVerdict(
        Outcome.UNDECIDED,
        "Running",
        "0 of 0 answers of the candidate were 5xx, 0 of 0 of the other pods: expected at most 2 percentage points "
        "more; at least 100 are needed, up to 100.0% errors are possible, too few times are known, 600 s "
        "(holdForSeconds) are not over",
        (CanaryShare("answered without 5xx", 0, 0, 0.0, 1.0, 0.98),),
    )


def test_too_many_errors_fail_it_at_once_and_are_named() -> None:
    found = judge(group(60, 30), group(60, 1), CanaryRequirement(max_error_increase_percent=0.5), held_for=0)
    assert (found.outcome, found.reason) == (Outcome.FAILED, "Failing")
    assert found.message == (
        "30 of 60 answers of the candidate were 5xx, 1 of 60 of the other pods: expected at most 0.5 percentage points "
        "more"
    )
    assert found.shares[0] == CanaryShare(
        "answered without 5xx", 30, 60, *share_bounds(30, 60, alpha=0.025), 1.0 - 1 / 60 - 0.005
    )


@pytest.mark.parametrize(
    ("errors", "stable_errors", "outcome"),
    [
        (16, 0, Outcome.UNDECIDED),
        (17, 0, Outcome.FAILED),
        (40, 10, Outcome.UNDECIDED),
        (41, 10, Outcome.FAILED),
        (60, 60, Outcome.UNDECIDED),
    ],
)
def test_it_fails_from_the_first_error_that_chance_and_the_other_pods_do_not_explain(
    errors: int, stable_errors: int, outcome: Outcome
) -> None:
    assert judge(group(60, errors), group(60, stable_errors)).outcome is outcome


def test_exactly_the_errors_that_are_allowed_do_not_fail_it() -> None:
    candidate, stable = group(60, 30), group(60)
    lowest = 1.0 - share_bounds(30, 60, alpha=0.05 / 3).high
    highest = 1.0 - share_bounds(60, 60, alpha=0.05 / 3).low
    allowed = 100 * (lowest - highest)
    assert highest + allowed / 100 == lowest
    for percent, outcome in ((allowed, Outcome.UNDECIDED), (allowed - 1e-9, Outcome.FAILED)):
        require = CanaryRequirement(max_error_increase_percent=percent)
        assert judge(candidate, stable, require).outcome is outcome, percent


def test_slow_answers_fail_it_at_once_and_are_named() -> None:
    found = judge(group(60, slow=51), group(60), held_for=0)
    assert (found.outcome, found.reason) == (Outcome.FAILED, "Slower")
    assert found.message == (
        "51 of 60 answers of the candidate took longer than the bound: median 0.253 s, 0.050 s of the other pods"
    )
    assert [share.name for share in found.shares] == ["answered without 5xx", "not slower than the bound"]


@pytest.mark.parametrize(
    ("slow", "outcome", "missing"),
    [
        (160, Outcome.PASSED, ""),
        (161, Outcome.UNDECIDED, "; too few times are known"),
        (244, Outcome.UNDECIDED, "; too few times are known"),
    ],
)
def test_half_of_its_answers_must_surely_keep_the_ratio(slow: int, outcome: Outcome, missing: str) -> None:
    found = judge(group(400, slow=slow), group(400))
    assert (found.outcome, found.message) == (outcome, NO_ERRORS + missing)


def test_it_is_slower_from_the_first_answer_that_chance_does_not_explain() -> None:
    assert judge(group(400, slow=245), group(400)).reason == "Slower"


@pytest.mark.parametrize(("ratio", "within"), [(1.0, 0), (1.99, 0), (2.0, 100), (4.0, 200)])
def test_the_ratio_is_to_the_median_of_the_other_pods(ratio: float, within: int) -> None:
    """Their median is 0.1 s; a bucket that the bound cuts counts for the candidate."""
    stable = Answered(100, 0, ((0.05, 0.0), (0.15, 100.0), (math.inf, 100.0)))
    times: Histogram = ((0.1, 0.0), (0.199, 0.0), (0.2, 100.0), (0.39, 150.0), (0.4, 200.0), (math.inf, 200.0))
    shares = judge(Answered(200, 0, times), stable, CanaryRequirement(max_latency_ratio=ratio)).shares
    assert [share.successes for share in shares] == [200, within]


def test_answers_longer_than_the_last_known_bound_count_for_the_candidate() -> None:
    stable = Answered(100, 0, ((2.0, 0.0), (math.inf, 100.0)))
    shares = judge(Answered(50, 0, ((1.0, 7.0), (math.inf, 50.0))), stable).shares
    assert (shares[1].successes, shares[1].trials) == (50, 50)


@pytest.mark.parametrize(
    "times",
    [((1.0, 0.0), (2.0, 40.0), (math.inf, 100.0)), ((math.inf, 100.0),)],
    ids=["longer than the last bound", "no bound that all pods have"],
)
def test_a_canary_is_not_slower_than_a_median_that_is_not_known(times: Histogram) -> None:
    candidate = Answered(100, 0, ((1.0, 0.0), (2.0, 3.0), (math.inf, 100.0)))
    found = judge(candidate, Answered(100, 0, times), CanaryRequirement(max_latency_ratio=1.0))
    assert (found.outcome, found.shares[1].successes) == (Outcome.UNDECIDED, 100)


def test_the_last_bound_is_a_median_that_is_known() -> None:
    stable = Answered(100, 0, ((1.0, 0.0), (2.0, 60.0), (math.inf, 100.0)))
    candidate = Answered(100, 0, ((1.0, 0.0), (2.0, 3.0), (math.inf, 100.0)))
    assert judge(candidate, stable, CanaryRequirement(max_latency_ratio=1.0)).shares[1].successes == 3


@pytest.mark.parametrize(("known", "judged"), [(29, False), (30, True)])
def test_times_are_judged_from_thirty_of_the_other_pods_on(known: int, judged: bool) -> None:
    found = judge(group(400), Answered(400, 0, group(known).times))
    assert (len(found.shares), found.outcome) == ((2, Outcome.PASSED) if judged else (1, Outcome.UNDECIDED))
    assert found.message == NO_ERRORS + ("" if judged else "; too few times are known")


@pytest.mark.parametrize(
    ("requests", "held_for", "missing"),
    [
        (400, 600.0, ""),
        (399, 600.0, "; at least 400 are needed"),
        (400, 599.9, "; 600 s (holdForSeconds) are not over"),
        (399, 599.9, "; at least 400 are needed, 600 s (holdForSeconds) are not over"),
    ],
)
def test_it_passes_with_the_wanted_requests_after_the_wanted_time(requests: int, held_for: float, missing: str) -> None:
    require = CanaryRequirement(requests=400, hold_for_seconds=600)
    found = judge(group(requests), group(400), require, held_for=held_for)
    assert found.message == NO_ERRORS.replace("0 of 400", f"0 of {requests}", 1) + missing
    assert found.outcome is (Outcome.UNDECIDED if missing else Outcome.PASSED)


@pytest.mark.parametrize(
    ("requests", "stable", "missing"),
    [
        (285, group(285), ""),
        (284, group(284), "; up to 2.0% errors are possible"),
        (285, group(285, 100), ""),
        (200, group(10_000, 300), ""),
        (200, group(10_000, 100), "; up to 2.7% errors are possible"),
    ],
)
def test_it_passes_once_it_surely_has_few_errors_beside_the_other_pods(
    requests: int, stable: Answered, missing: str
) -> None:
    found = judge(group(requests), stable)
    assert found.message == (
        f"0 of {requests} answers of the candidate were 5xx, {stable.errors} of {stable.requests} of the other pods: "
        f"expected at most 2 percentage points more{missing}"
    )


def test_an_increase_of_a_hundred_points_allows_every_share_of_errors() -> None:
    require = CanaryRequirement(requests=1, hold_for_seconds=0, max_error_increase_percent=100)
    found = judge(Answered(0, 0, ()), group(60), require)
    assert found.message.endswith("100 percentage points more; at least 1 are needed, too few times are known")
    assert found.shares[0].smallest == 0.0


def test_answers_that_fail_more_often_than_they_are_counted_are_all_errors() -> None:
    """A pod is scraped while it answers: an error may be counted before its request."""
    begin = CanaryBegin(at=timestamp(BEGIN), weight=50, pods={"pod-1": PodCounters(requests=5, times={})})
    found = answered([ready_pod(1, service=ServiceReport(requests_total=7, errors_total=3))], begin)
    assert (found.requests, found.errors) == (2, 2)


# --- What counts since the begin --------------------------------------------------------------------------------------

TIMES: Histogram = ((0.1, 2.0), (math.inf, 9.0))
AT = timestamp(BEGIN)


def of(number: int, requests: float = 9, errors: float = 1, started_at: str | None = None) -> Pod:
    report = ServiceReport(requests_total=requests, errors_total=errors, durations_total=tuple(TIMES))
    return ready_pod(number, service=report, started_at=started_at)


@pytest.mark.parametrize(
    ("before", "pod", "expected"),
    [
        (PodCounters(requests=9, errors=1, times={0.1: 2, math.inf: 9}), of(1), (0, 0, ((0.1, 0.0), (math.inf, 0.0)))),
        (PodCounters(requests=10, errors=1, times={0.1: 2, math.inf: 9}), of(1), (9, 1, TIMES)),
        (PodCounters(requests=9, errors=2, times={0.1: 2, math.inf: 9}), of(1), (9, 1, TIMES)),
        (PodCounters(requests=7, errors=0, times={0.1: 3, math.inf: 7}), of(1), (2, 1, TIMES)),
        (PodCounters(requests=4, errors=0, times=None), of(1), (5, 1, ())),
        (None, of(1), (9, 1, TIMES)),
        (None, of(1, started_at=AT), (9, 1, TIMES)),
        (None, of(1, started_at="2025-12-31T23:59:59Z"), (0, 0, ())),
        (PodCounters(requests=4), ready_pod(1, service=None), (0, 0, ())),
    ],
    ids=[
        "nothing since",
        "restarted, by its requests",
        "restarted, by its errors",
        "restarted, by its times",
        "times not known",
        "new",
        "new since the begin",
        "older and not counted at the begin",
        "no report",
    ],
)
def test_a_pod_counts_with_what_it_has_answered_since(
    before: PodCounters | None, pod: Pod, expected: tuple[int, int, Histogram]
) -> None:
    begin = CanaryBegin(at=AT, weight=50, pods={"pod-1": before} if before else {})
    assert answered([pod], begin) == Answered(*expected)


def test_the_answers_of_several_pods_are_added_and_one_without_a_report_is_passed_over() -> None:
    begin = CanaryBegin(
        at=AT, weight=50, pods={"pod-2": PodCounters(requests=4, errors=1, times={0.1: 1, math.inf: 4})}
    )
    found = answered([ready_pod(1, service=None), of(2, errors=3), of(3)], begin)
    assert found == Answered(14, 3, ((0.1, 3.0), (math.inf, 14.0)))
