"""Percentiles of pooled histograms, value by value."""

from __future__ import annotations

from math import inf

import pytest

from cetacean_operator.decisions.quantiles import Histogram, count, percentile, pool


@pytest.mark.parametrize(
    ("histograms", "pooled"),
    [
        ([], ()),
        ([()], ()),
        ([((1.0, 2.0), (inf, 3.0)), ()], ((1.0, 2.0), (inf, 3.0))),
        ([((1.0, 2.0), (inf, 3.0)), ((1.0, 4.0), (inf, 5.0))], ((1.0, 6.0), (inf, 8.0))),
        ([((1.0, 2.0), (2.0, 2.0), (inf, 3.0)), ((2.0, 4.0), (inf, 5.0))], ((2.0, 6.0), (inf, 8.0))),
    ],
    ids=["none", "empty", "one", "two", "bounds of one only"],
)
def test_histograms_are_added_at_the_bounds_that_all_have(histograms: list[Histogram], pooled: Histogram) -> None:
    assert pool(histograms) == pooled


@pytest.mark.parametrize(
    ("histogram", "number"),
    [((), 0.0), (((1.0, 2.0),), 0.0), (((inf, 3.0),), 3.0), (((1.0, 2.0), (inf, 3.0)), 3.0)],
    ids=["empty", "no last bound", "the last bound only", "complete"],
)
def test_the_number_is_that_of_the_last_bound(histogram: Histogram, number: float) -> None:
    assert count(histogram) == number


@pytest.mark.parametrize(
    ("percent", "histogram", "value"),
    [
        (50, (), None),
        (50, ((1.0, 0.0), (inf, 0.0)), None),
        (50, ((1.0, 0.5), (inf, 0.5)), 0.5),
        (50, ((1.0, 1.0), (inf, 1.0)), 0.5),
        (50, ((4.0, 10.0), (inf, 10.0)), 2.0),
        (50, ((1.0, 5.0), (3.0, 10.0), (inf, 10.0)), 1.0),
        (50, ((1.0, 5.0), (3.0, 5.0), (5.0, 10.0), (inf, 10.0)), 1.0),
        (75, ((1.0, 5.0), (3.0, 10.0), (inf, 10.0)), 2.0),
        (95, ((1.0, 5.0), (3.0, 5.0), (5.0, 15.0), (inf, 15.0)), 4.85),
        (50, ((1.0, 0.0), (2.0, 10.0), (inf, 10.0)), 1.5),
        (0, ((1.0, 0.0), (2.0, 10.0), (inf, 10.0)), 1.0),
        (90, ((1.0, 5.0), (inf, 10.0)), 1.0),
        (50, ((inf, 10.0),), 0.0),
    ],
    ids=str,
)
def test_observations_lie_evenly_in_their_bucket(percent: int, histogram: Histogram, value: float | None) -> None:
    found = percentile(percent, histogram)
    assert found == (None if value is None else pytest.approx(value))
