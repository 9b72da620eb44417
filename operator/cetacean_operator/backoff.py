"""How long to wait before the next attempt: one formula for every back-off, and jitter for intervals."""

from __future__ import annotations

import random

_RNG = random.Random()


def ceiling(failures: int, *, base: float, longest: float, factor: float = 2.0) -> float:
    """Return the longest wait after so many failures in a row, in seconds.

    Args:
        failures: 0 for the first.
        base: seconds after the first failure.
        longest: seconds that no wait exceeds.
        factor: by which the wait grows with each failure.
    """
    return min(longest, base * factor ** min(failures, 60))


def exponential(failures: int, *, base: float, longest: float, rng: random.Random = _RNG) -> float:
    """Return a wait between half of `ceiling` and all of it, so that clients that failed together return apart."""
    return ceiling(failures, base=base, longest=longest) * rng.uniform(0.5, 1.0)


def jittered(interval: float, spread: float = 0.2) -> float:
    """Return an interval that is up to `spread` shorter or longer, so that replicas and clusters do not act in step."""
    return interval * _RNG.uniform(1.0 - spread, 1.0 + spread)
