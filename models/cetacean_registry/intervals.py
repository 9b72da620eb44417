"""Confidence intervals of shares and of differences of shares, from the standard library alone.

The operator and the command line have no scipy.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95
MOST_PICTURES: Final = 10_000_000
"""Larger numbers of pictures are not searched for."""


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


def quantile(comparisons: int = 1, confidence: float = CONFIDENCE) -> float:
    """Return the normal quantile of a two-sided interval.

    Args:
        comparisons: number of intervals that are all to hold together at the confidence (Bonferroni's correction).
        confidence: 0..1.
    """
    return NormalDist().inv_cdf(1 - (1 - confidence) / (2 * comparisons))


def wilson(share: float, total: int, z: float | None = None) -> Interval:
    """Return Wilson's score interval of a binomial share, within 0..1.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209-212.

    Args:
        share: 0..1.
        total: the number that it is a share of, at least 1.
        z: normal quantile; None: of 95 %.
    """
    z = quantile() if z is None else z
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    # At 0 and 1 the formula is exact but for rounding.
    return Interval(0.0 if share == 0 else max(0.0, centre - half), 1.0 if share == 1 else min(1.0, centre + half))


def difference(one: float, one_total: int, other: float, other_total: int, z: float | None = None) -> Interval:
    """Return the interval of `one - other` for shares of independent samples.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17 (1998) 873-890, method 10. Two models that are scored on the same pictures err
    on the same ones more often than by chance: then the interval is wider than it needs to be, and never too narrow.
    """
    first, second = wilson(one, one_total, z), wilson(other, other_total, z)
    low = math.hypot(one - first.low, second.high - other)
    high = math.hypot(first.high - one, other - second.low)
    return Interval(one - other - low, one - other + high)


def pictures_below(share: float, bound: float, z: float | None = None) -> int | None:
    """Return the number of pictures from which Wilson's interval of a share below a bound excludes the bound.

    Wilson's interval inverts the score test: it excludes the bound if the share differs by more than `z` standard
    errors at the bound. None: more than `MOST_PICTURES`.
    """
    z = quantile() if z is None else z
    gap = bound - share
    # Not divided by the square of the gap, which is 0 if the gap is below 1e-162.
    needed = z * z * (bound / gap) * ((1 - bound) / gap)
    return math.floor(needed) + 1 if needed < MOST_PICTURES else None


def pictures_more_than(one: float, other: float, allowed: float, z: float | None = None) -> int | None:
    """Return the number of pictures from which the interval of `one - other` lies above `allowed`, which it exceeds.

    None: more than `MOST_PICTURES`.
    """
    if difference(one, MOST_PICTURES, other, MOST_PICTURES, z).low <= allowed:
        return None
    fewer, enough = 0, MOST_PICTURES
    while enough - fewer > 1:
        middle = (fewer + enough) // 2
        if difference(one, middle, other, middle, z).low > allowed:
            enough = middle
        else:
            fewer = middle
    return enough
