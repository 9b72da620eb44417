"""Bounds of a share that hold at all numbers of trials together, so that judging often turns no noise into a verdict.

The method is the beta-binomial mixture of Robbins (1970, "Statistical methods related to the law of the iterated
logarithm", Annals of Mathematical Statistics 41), in the form of Howard, Ramdas, McAuliffe and Sekhon (2021,
"Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49). For independent trials of
probability p, the ratio of the mixture's likelihood to that of p is a martingale with mean 1. By Ville's inequality it
ever reaches 1/alpha with probability alpha at most. The shares at which it has not are the confidence sequence.

Assumption: the trials are independent and have one probability. A picture is therefore compared once only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

_PRIOR: Final = (5.0, 0.5)
"""The mixture's beta distribution. Agreement is near 1 as a rule: there the bounds are tighter than with a flat one."""
_STEPS: Final = 50
"""Halvings of an interval within 0..1."""


class Bounds(NamedTuple):
    """Lowest and highest share that the trials allow."""

    low: float
    high: float


@lru_cache(maxsize=4096)  # each reconcile asks for the same shares several times, and for most of the last ones again
def share_bounds(successes: int, trials: int, *, alpha: float) -> Bounds:
    """Return the bounds after so many trials; with probability 1 - alpha they hold at all numbers of trials at once.

    Raises:
        ValueError: the counts or alpha are impossible.
    """
    if not 0 <= successes <= trials or not 0 < alpha < 1:
        raise ValueError(f"expected 0 <= successes <= trials and 0 < alpha < 1, got {successes}, {trials}, {alpha}")
    if not trials:
        return Bounds(0.0, 1.0)
    evidence = _log_beta(successes, trials - successes) + math.log(alpha)

    def allowed(share: float) -> bool:
        return evidence < _log_likelihood(successes, trials, share)

    # The likelihood has its only maximum at the observed share, which is always allowed.
    observed = successes / trials
    return Bounds(_edge(allowed, observed, 0.0), _edge(allowed, observed, 1.0))


def _edge(allowed: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return where `allowed` ends between a share that is allowed and an end of 0..1."""
    if allowed(outside):
        return outside
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if allowed(middle) else (inside, middle)
    return outside


def _log_beta(successes: int, failures: int) -> float:
    """Return the logarithm of the mixture's likelihood."""
    a, b = _PRIOR
    return (
        math.lgamma(a + successes)
        + math.lgamma(b + failures)
        - math.lgamma(a + b + successes + failures)
        - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
    )


def _log_likelihood(successes: int, trials: int, share: float) -> float:
    failures = trials - successes
    if (share == 0 and successes) or (share == 1 and failures):
        return -math.inf
    log_successes = successes * math.log(share) if successes else 0.0
    return log_successes + (failures * math.log1p(-share) if failures else 0.0)
