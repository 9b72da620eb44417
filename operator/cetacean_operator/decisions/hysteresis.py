"""When a figure in the status changes: not for noise, and an alarm does not end because pods stop answering."""

from __future__ import annotations

from typing import Final

RECOVERY: Final = 0.8
"""An alarm ends below this part of its bound, as in the pods: noise at the bound is not a new alarm."""
_ALL_DIGITS: Final = 17
"""Decimals that a float may have."""
_BINARY: Final = 1e-9
"""Absorbs binary fractions: 0.9 - 0.8 is a drop of 0.1."""


def steady(
    value: float | None, last: float | None, *, digits: int, step: float = 0.0, bound: float | None = None
) -> float | None:
    """Return the figure to show: the last one while the value has hardly moved, else the value, rounded.

    The shown figure never lies on another side of the bound than the value: 94.96 is below 95 and is not shown as 95.

    Args:
        value: the exact figure, None if it is not known.
        last: the figure shown last.
        digits: decimals to show, or more if the bound asks for it; a move by one unit of the last one is noise.
        step: a larger move that still counts as noise.
        bound: the limit that the figure is judged by.
    """
    if value is None:
        return None
    same_side = bound is None or (last is not None and _side(last, bound) == _side(value, bound))
    if last is not None and same_side and abs(value - last) <= max(step, 10.0**-digits):
        return last
    if bound is None:
        return round(value, digits)
    rounded = (round(value, places) for places in range(digits, _ALL_DIGITS))
    return next((figure for figure in rounded if _side(figure, bound) == _side(value, bound)), value)


def held(last: float | None, *, above: float | None = None, below: float | None = None) -> float | None:
    """Return the last figure if it was an alarm, None if not; to be used while no pod answers.

    Args:
        last: the figure shown last.
        above: a larger figure is an alarm.
        below: a smaller figure is an alarm.
    """
    if last is None:
        return None
    alarm = (above is not None and last > above) or (below is not None and last < below)
    return last if alarm else None


def lasts(value: float, bound: float, *, raised: bool) -> bool:
    """Return true if an alarm begins or goes on: it begins at its bound and ends below a part of it.

    Args:
        value: the exact figure; larger is worse.
        bound: the limit that begins an alarm.
        raised: there is an alarm already.
    """
    return value >= (RECOVERY if raised else 1.0) * bound - _BINARY


def _side(value: float, bound: float) -> int:
    return (value > bound) - (value < bound)
