"""The probabilities of differences: equal to exact ones that are computed in another way, and never too small."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_operator.decisions.chance import (
    distance_chance,
    drop_chance,
    histogram_variance,
    largest_distance,
    share_chance,
)

counts = st.lists(st.integers(0, 50), min_size=20, max_size=20).filter(any)


def exact_tail(hits: int, total: int, of: int, among: int) -> Fraction:
    """Return the hypergeometric tail as a fraction of whole numbers."""
    every = hits + of
    ways = sum(math.comb(every, k) * math.comb(total + among - every, total - k) for k in range(hits, total + 1))
    return Fraction(ways, math.comb(total + among, total))


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_chance_of_a_share_is_the_exact_tail_of_fishers_test(total: int, among: int, data: st.DataObject) -> None:
    hits, of = data.draw(st.integers(0, total)), data.draw(st.integers(0, among))
    found = share_chance(hits, total, of=of, among=among)
    if hits * among <= of * total:
        assert found == 1.0
    else:
        assert found == pytest.approx(float(exact_tail(hits, total, of, among)), rel=1e-9)


def test_the_example_of_a_textbook_has_its_chance() -> None:
    # Fisher's lady tasting tea: all four cups of four.
    assert share_chance(4, 4, of=0, among=4) == pytest.approx(1 / 70)


@pytest.mark.parametrize(("total", "among"), [(10_000, 10**9), (10**6, 100), (3, 10**9), (10**6, 10**6)])
def test_large_samples_are_quick_and_give_a_probability(total: int, among: int) -> None:
    found = share_chance(total // 2, total, of=among // 3, among=among)
    assert 0.0 <= found <= 1.0


@pytest.mark.parametrize(("hits", "missed", "among"), [(1, 1, 10**8), (3, 3, 10**8), (2, 1, 999_999_997)])
def test_rounding_gives_no_chance_above_one(hits: int, missed: int, among: int) -> None:
    assert share_chance(hits, hits, of=among - missed, among=among) == 1.0


def test_samples_without_pictures_prove_nothing() -> None:
    assert share_chance(0, 0, of=1, among=2) == share_chance(1, 2, of=0, among=0) == 1.0
    assert distance_chance(1.0, 0, 100) == distance_chance(1.0, 100, 0) == 1.0


@given(counts, counts)
def test_the_distance_is_the_largest_difference_of_the_cumulative_shares(one: list[int], other: list[int]) -> None:
    found, place = largest_distance(one, other)
    differences = np.cumsum(one) / sum(one) - np.cumsum(other) / sum(other)
    assert abs(found) == pytest.approx(np.abs(differences).max(), abs=1e-12)
    if found:
        assert differences[place - 1] == pytest.approx(found)


def test_the_distance_is_at_the_first_of_several_places() -> None:
    assert largest_distance([2, 0, 2, 0], [0, 2, 0, 2]) == (0.5, 1)
    assert largest_distance([1, 1], [3, 3]) == (0.0, 0), "no place is below which there is more"
    with pytest.raises(ValueError, match="shorter"):
        largest_distance([1, 2], [1])


@pytest.mark.parametrize(
    ("distance", "one", "other", "chance"),
    [
        (0.0, 50, 100, 1.0),
        (0.1, 50, 100, 1.0),
        (0.2, 50, 100, 0.18887560283756183),
        (0.25, 100, 300, 0.00023055986759244163),
        (1.0, 100, 100, 1.0112214926104486e-43),
    ],
)
def test_the_chance_of_a_distance_is_that_of_the_inequality(
    distance: float, one: int, other: int, chance: float
) -> None:
    assert distance_chance(distance, one, other) == pytest.approx(chance)


def uniform(rng: np.random.Generator, size: int) -> list[int]:
    """Return the histogram of values that are equally often in each bin."""
    return [int(count) for count in np.bincount(rng.integers(0, 20, size), minlength=20)]


def test_no_chance_of_a_distance_is_smaller_than_its_share_among_random_samples() -> None:
    rng = np.random.default_rng(1)
    for one, other in ((50, 100), (100, 100), (400, 100), (50, 1000)):
        distances = np.sort([abs(largest_distance(uniform(rng, one), uniform(rng, other))[0]) for _ in range(1000)])
        for share in (0.1, 0.05, 0.01):
            assert distance_chance(float(distances[int(-1000 * share)]), one, other) >= share


def test_the_chance_of_a_drop_is_that_of_the_normal_distribution() -> None:
    assert drop_chance(1.6448536269514722, 1.0) == pytest.approx(0.05)
    assert drop_chance(2 * 1.6448536269514722, 4.0) == pytest.approx(0.05)
    assert drop_chance(0.0, 1.0) == drop_chance(-1.0, 1.0) == drop_chance(0.0, 0.0) == 1.0
    assert drop_chance(0.1, 0.0) == 0.0


@given(st.lists(st.floats(0, 0.9999), min_size=1, max_size=200))
def test_the_variance_of_a_histogram_is_near_that_of_its_values(values: list[float]) -> None:
    histogram = [int(count) for count in np.bincount([int(value * 20) for value in values], minlength=20)]
    width = 1 / 20
    assert math.sqrt(histogram_variance(histogram)) == pytest.approx(np.std(values), abs=width)


@pytest.mark.parametrize(
    ("histogram", "variance"),
    [
        ([7], 1 / 12),
        ([1, 1], 1 / 12),
        ([3, 3, 3, 3], 1 / 12),
        ([4, 0, 0, 0], 1 / 192),
        ([0, 0, 4, 0], 1 / 192),
        ([2, 0, 0, 2], 0.375**2 + 1 / 192),
    ],
    ids=str,
)
def test_values_lie_evenly_in_their_bin(histogram: list[int], variance: float) -> None:
    assert histogram_variance(histogram) == pytest.approx(variance)
