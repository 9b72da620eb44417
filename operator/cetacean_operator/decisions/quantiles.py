"""Percentiles of Prometheus histograms that are pooled over pods; the rule is that of `histogram_quantile`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

Histogram = Sequence[tuple[float, float]]
"""Bound and how many lay at or below it; ascending, the last bound inf."""


def pool(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms up, at the bounds that all of them have: there the counts are exact."""
    given = [dict(histogram) for histogram in histograms if histogram]
    if not given:
        return ()
    common = set.intersection(*(set(one) for one in given))
    return tuple((bound, sum(one[bound] for one in given)) for bound in sorted(common))


def count(histogram: Histogram) -> float:
    """Return how many observations there are."""
    return histogram[-1][1] if histogram and math.isinf(histogram[-1][0]) else 0.0


def percentile(percent: int, histogram: Histogram) -> float | None:
    """Return the value that `percent` of 100 observations do not exceed.

    Within a bucket observations are taken to lie evenly. Beyond the last finite bound nothing is known: then it is
    that bound. None where there are no observations.
    """
    total = count(histogram)
    if total <= 0:
        return None
    rank = total * percent / 100
    lower = below = 0.0
    for bound, upto in histogram:
        if upto >= rank and upto > below:
            if math.isinf(bound):
                break
            return lower + (bound - lower) * (rank - below) / (upto - below)
        if math.isfinite(bound):
            lower, below = bound, max(below, upto)
    return lower
