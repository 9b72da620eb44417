"""Whole numbers in the answers of pods, which may say anything."""

from __future__ import annotations


def whole(value: object, *, largest: int, smallest: int = 0) -> int | None:
    """Return a whole number within bounds, None for anything else; JSON's true and 1.0 are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest else None
