"""Bounds of a share: they hold the true share at all numbers of trials together, as a seeded simulation shows."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_operator.decisions.confidence_sequence import share_bounds

RUNS = 300
LONGEST = 1500


def ever_excludes(share: float, *, alpha: float, rng: random.Random) -> bool:
    """Judge after every trial; return true if the bounds once exclude the true share."""
    successes = 0
    for trials in range(1, LONGEST + 1):
        successes += rng.random() < share
        # The bounds change little between these numbers of trials, and computing all of them would take minutes.
        if trials < 60 or trials % 20 == 0:
            bounds = share_bounds(successes, trials, alpha=alpha)
            if not bounds.low <= share <= bounds.high:
                return True
    return False


@pytest.mark.parametrize("share", [0.5, 0.85, 0.98])
def test_judging_often_excludes_the_true_share_in_at_most_five_percent(share: float) -> None:
    rng = random.Random(f"bounds of {share}")
    wrong = sum(ever_excludes(share, alpha=0.05, rng=rng) for _ in range(RUNS))
    # At 5 %, 300 runs have more than 27 wrong ones with a chance below one in a thousand.
    assert wrong <= 27


def test_a_fixed_interval_that_is_judged_as_often_would_be_wrong_far_more_often() -> None:
    """The simulation can fail: the usual 95 % interval, judged as often, does."""
    rng = random.Random("fixed")
    wrong = 0
    for _ in range(RUNS):
        successes = 0
        for trials in range(1, LONGEST + 1):
            successes += rng.random() < 0.5
            if trials >= 20 and trials % 20 == 0 and abs(successes / trials - 0.5) > 1.96 * (0.25 / trials) ** 0.5:
                wrong += 1
                break
    assert wrong > 60


@given(st.integers(0, 2000), st.integers(0, 2000), st.floats(0.001, 0.2))
def test_the_observed_share_lies_within_and_a_smaller_error_widens(successes: int, failures: int, alpha: float) -> None:
    trials = successes + failures
    bounds = share_bounds(successes, trials, alpha=alpha)
    assert 0.0 <= bounds.low <= bounds.high <= 1.0
    if trials:
        assert bounds.low <= successes / trials <= bounds.high
    wider = share_bounds(successes, trials, alpha=alpha / 10)
    assert wider.low <= bounds.low
    assert wider.high >= bounds.high


def test_known_values() -> None:
    assert share_bounds(0, 0, alpha=0.05) == (0.0, 1.0)
    # With k = n the lower bound solves p**n = alpha * B(5 + n, 0.5) / B(5, 0.5).
    low, high = share_bounds(247, 247, alpha=0.05)
    assert (round(low, 4), high) == (0.98, 1.0)
    assert share_bounds(0, 10, alpha=0.05).low == 0.0


@pytest.mark.parametrize(("successes", "failures"), [(3, 2), (5, 0), (0, 4), (9, 1), (1, 12)])
def test_a_bound_is_where_the_mixture_is_alpha_times_less_likely(successes: int, failures: int) -> None:
    """The mixture has the beta distribution with 5 and 0.5, its likelihood is a ratio of beta functions."""

    def beta(a: float, b: float) -> float:
        return math.gamma(a) * math.gamma(b) / math.gamma(a + b)

    def likelihood(share: float) -> float:
        return share**successes * (1.0 - share) ** failures

    edge = pytest.approx(0.05 * beta(5.0 + successes, 0.5 + failures) / beta(5.0, 0.5))
    low, high = share_bounds(successes, successes + failures, alpha=0.05)
    assert low < successes / (successes + failures) or not successes
    assert high > successes / (successes + failures) or not failures
    assert likelihood(low) == edge if successes else low == 0.0
    assert likelihood(high) == edge if failures else high == 1.0


@pytest.mark.parametrize(("successes", "trials", "alpha"), [(2, 1, 0.05), (-1, 1, 0.05), (1, 1, 0.0), (1, 1, 1.0)])
def test_impossible_counts_are_refused(successes: int, trials: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= successes"):
        share_bounds(successes, trials, alpha=alpha)
