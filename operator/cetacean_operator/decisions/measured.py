"""The figure of a signal, before it is compared with its bound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """The figure of one signal over the newest answers."""

    value: float
    bound: float
    samples: int
    """Pictures that the value is about."""
    chance: float
    """The probability of such a value, or a larger one, if nothing has changed."""
    reason: str
    """Of the condition, if the signal is raised."""
    text: str
    """The figures, as messages show them."""
    from_identification: bool
    """True if the identification model produces the figure, and not only the gate or the mix of pictures."""
