"""Intervals against scipy and against published examples; the numbers of pictures that decide."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cetacean_registry.intervals import MOST_PICTURES, difference, pictures_below, pictures_more_than, quantile, wilson


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilsons_interval_is_scipys(counts: tuple[int, int]) -> None:
    hits, total = counts
    expected = binomtest(hits, total).proportion_ci(method="wilson")
    assert wilson(hits / total, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_ends_of_the_interval_of_none_and_of_all_are_exact() -> None:
    assert {wilson(0.0, total).low for total in range(1, 500)} == {0.0}
    assert {wilson(1.0, total).high for total in range(1, 500)} == {1.0}


def test_rounding_leads_to_no_end_outside_of_0_and_1() -> None:
    for total in (*range(1, 500), *(10**power for power in range(3, 17))):
        assert wilson(1 - 2**-53, total).high <= 1.0
        assert wilson(2**-60, total).low >= 0.0


JOINT = quantile(comparisons=10)


def test_intervals_that_hold_together_are_computed_with_their_quantile() -> None:
    expected = binomtest(56, 70).proportion_ci(confidence_level=0.995, method="wilson")
    one = wilson(0.8, 70, JOINT)
    assert one == pytest.approx((expected.low, expected.high), abs=1e-9)
    other = wilson(0.6, 80, JOINT)
    low, high = math.hypot(0.8 - one.low, other.high - 0.6), math.hypot(one.high - 0.8, 0.6 - other.low)
    assert difference(0.8, 70, 0.6, 80, JOINT) == pytest.approx((0.2 - low, 0.2 + high), abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 10), (0.6075, 1.0000)),
        ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ],
    ids=str,
)
def test_the_interval_of_a_difference_is_that_of_newcombes_table(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    """Table II of the paper, method 10."""
    hits, total, others, other_total = counts
    found = difference(hits / total, total, others / other_total, other_total)
    assert found == pytest.approx(expected, abs=5e-5)


def test_joint_intervals_are_wider() -> None:
    assert quantile() == pytest.approx(1.959964, abs=1e-6)
    assert quantile(comparisons=10) == pytest.approx(2.807034, abs=1e-6)


SHARES = st.integers(0, 100).map(lambda number: number / 100)


@given(SHARES, SHARES)
def test_so_many_pictures_decide_that_a_share_is_below_a_bound_and_one_less_do_not(share: float, bound: float) -> None:
    if share >= bound:
        return
    enough = pictures_below(share, bound)
    assert enough is not None
    assert wilson(share, enough).high < bound or bound == 1
    if enough > 1 and 0 < bound < 1:
        assert wilson(share, enough - 1).high >= bound - 1e-12


@given(SHARES, SHARES, SHARES)
def test_so_many_pictures_decide_that_a_drop_is_larger_than_allowed(one: float, other: float, allowed: float) -> None:
    if one - other < allowed + 0.01:
        return
    enough = pictures_more_than(one, other, allowed)
    assert enough is not None
    assert difference(one, enough, other, enough).low > allowed
    if enough > 1:
        assert difference(one, enough - 1, other, enough - 1).low <= allowed


@pytest.mark.parametrize("z", [None, JOINT], ids=["one", "ten"])
def test_the_quantile_decides_how_many_pictures_are_enough(z: float | None) -> None:
    enough = pictures_below(0.46, 0.5, z)
    assert enough is not None
    assert wilson(0.46, enough, z).high < 0.5 <= wilson(0.46, enough - 1, z).high
    for one in (0.8, 0.85, 0.9, 0.95, 1.0):
        more = pictures_more_than(one, 0.7, 0.05, z)
        assert more is not None
        assert difference(one, more, 0.7, more, z).low > 0.05 >= difference(one, more - 1, 0.7, more - 1, z).low


def test_a_drop_may_be_shown_alone_and_not_together_with_others() -> None:
    allowed = 0.1 - 3.8e-4
    assert pictures_more_than(0.9, 0.8, allowed) is not None
    assert pictures_more_than(0.9, 0.8, allowed, JOINT) is None


def test_an_interval_that_ends_at_what_is_allowed_does_not_lie_above_it() -> None:
    assert pictures_more_than(0.9, 0.7, difference(0.9, 50, 0.7, 50).low) == 51
    assert pictures_more_than(0.9, 0.8, difference(0.9, MOST_PICTURES, 0.8, MOST_PICTURES).low) is None


def test_a_drop_of_exactly_what_is_allowed_is_decided_by_no_number_of_pictures() -> None:
    assert pictures_more_than(0.9, 0.8, 0.1) is None


SMALLEST = 5e-324
ANY_SHARE = st.one_of(st.floats(0, 1), st.sampled_from([0.0, SMALLEST, 1e-170, 2**-53, 0.5, 1 - 2**-53, 1.0]))


@given(ANY_SHARE, ANY_SHARE)
@example(0.0, SMALLEST)
@example(0.0, 1e-170)
@example(1 - 2**-53, 1.0)
def test_every_share_below_a_bound_has_a_number_of_pictures_or_more_than_are_searched_for(
    share: float, bound: float
) -> None:
    if share >= bound:
        return
    enough = pictures_below(share, bound)
    assert enough is None or 1 <= enough <= MOST_PICTURES


def test_a_share_just_below_its_bound_is_decided_by_no_number_of_pictures() -> None:
    assert pictures_below(0.0, 1e-170) is None
    assert pictures_below(0.9 - 1e-6, 0.9) is None
    assert pictures_below(0.9 - 2e-4, 0.9) == 8_643_283
