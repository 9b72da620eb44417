"""How probable a difference between two samples is if both come from the same distribution: pure arithmetic.

One sample is the model's evaluation set, which may have only 100 pictures; the other are the newest answers of its
pods. Each function counts the uncertainty of both. `docs/drift.md` states the assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_NEGLIGIBLE = 1e-15


def distance_chance(distance: float, one: int, other: int) -> float:
    """Return an upper bound of the probability of a Kolmogorov-Smirnov distance this large or larger.

    The two-sample form of the inequality of Dvoretzky, Kiefer and Wolfowitz, with Euler's number as its constant: Wei
    and Dudley, "Two-sample Dvoretzky-Kiefer-Wolfowitz inequalities", Statistics & Probability Letters 82 (2012), who
    prove it for samples of equal size and checked others by computer. Values in bins make it smaller, not larger.

    Args:
        distance: largest difference of the two cumulative shares, 0..1.
        one: size of one sample.
        other: size of the other.
    """
    if not one or not other:
        return 1.0
    return min(1.0, math.exp(1.0 - 2.0 * distance**2 * one * other / (one + other)))


def share_chance(hits: int, total: int, *, of: int, among: int) -> float:
    """Return the probability that a sample has so many hits or more if both have the same share of them.

    The one-sided exact test of Fisher (R. A. Fisher, "Statistical Methods for Research Workers", 1934): given the
    hits of both samples together, their number in one of them is hypergeometric.

    Args:
        hits: in the sample.
        total: its size.
        of: hits in the other sample.
        among: the size of that one.
    """
    if hits * among <= of * total:  # as it is if a sample is empty
        return 1.0
    size, all_hits = total + among, hits + of
    log_first = (
        _log_choose(all_hits, hits) + _log_choose(size - all_hits, total - hits) - _log_choose(size, total)
    )  # fmt: skip
    term = chance = math.exp(log_first)
    # The share is above the common one, so each further term is smaller than the one before.
    for found in range(hits, min(all_hits, total)):
        misses = size - all_hits - total + found + 1
        term *= (all_hits - found) * (total - found) / ((found + 1) * misses)
        chance += term
        if term < chance * _NEGLIGIBLE:
            break
    return min(1.0, chance)


def drop_chance(drop: float, variance: float) -> float:
    """Return the probability that a mean lies this far below another one, or farther, if both are equal.

    The normal approximation.

    Args:
        drop: the difference of the means.
        variance: that of the difference.
    """
    if drop <= 0.0:
        return 1.0
    return 0.5 * math.erfc(drop / math.sqrt(2.0 * variance)) if variance > 0.0 else 0.0


def largest_distance(one: Sequence[int], other: Sequence[int]) -> tuple[float, int]:
    """Return the Kolmogorov-Smirnov distance of two histograms, and the number of bins below the place where it is.

    The distance is positive if `one` has more below that place. Both have the same bins, and neither is empty.
    """
    ones, others = sum(one), sum(other)
    found, place, below_one, below_other = 0, 0, 0, 0
    for number, (count, reference) in enumerate(zip(one, other, strict=True), start=1):
        below_one, below_other = below_one + count, below_other + reference
        difference = below_one * others - below_other * ones
        if abs(difference) > abs(found):
            found, place = difference, number
    return found / (ones * others), place


def histogram_variance(counts: Sequence[int]) -> float:
    """Return the variance of values over 0..1 in bins of equal width, with that of a uniform value within a bin."""
    total = sum(counts)
    # In units of a bin's width, from the middle of the first bin on: the variance is the same from anywhere.
    mean = sum(count * number for number, count in enumerate(counts)) / total
    spread = sum(count * (number - mean) ** 2 for number, count in enumerate(counts)) / total
    return (spread + 1.0 / 12.0) / len(counts) ** 2


def _log_choose(size: int, chosen: int) -> float:
    return math.lgamma(size + 1) - math.lgamma(chosen + 1) - math.lgamma(size - chosen + 1)
