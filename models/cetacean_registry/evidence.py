"""Judge one figure by one bound: by the figure itself, or by its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cetacean_registry.intervals import difference, pictures_below, pictures_more_than, wilson
from cetacean_registry.policy import Evidence

_NO_INTERVAL: Final = "judged as Point: it is no share of pictures, or their number is missing"


@dataclass(frozen=True, slots=True)
class GateFinding:
    """The result of comparing one figure with one bound."""

    figure: str
    """E.g. `TNR`, `top-1`, `species accuracy of beluga`, `evaluation set`."""
    passed: bool
    text: str
    """E.g. `TNR 0.8800 is below 0.9000 (minTNR)`."""
    conclusive: bool = True
    """False if the figure is outside the bound, but the pictures are too few to refuse the candidate for it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure as it was measured."""

    figure: str
    value: float
    samples: int | None
    """The number of pictures that it is a share of; None if it is no share, or if the number is not known."""


def judge_minimum(own: Measured, bound: float, field: str, evidence: Evidence) -> GateFinding:
    """Compare a figure with the lowest value that it may have.

    Args:
        own: the candidate's.
        bound: 0..1.
        field: the bound's name, for the text.
        evidence: see `GatePolicy.evidence`.
    """
    passed = exact(own.value) >= exact(bound)
    plain = f"{own.figure} {show(own.value)} is {'at least' if passed else 'below'} {bound:.4f} ({field})"
    if passed or evidence == "Point":
        return GateFinding(own.figure, passed, plain)
    if not own.samples:
        return GateFinding(own.figure, passed, f"{plain}; {_NO_INTERVAL}")
    interval = wilson(own.value, own.samples)
    ends = f"95 % interval {interval.low:.4f} to {interval.high:.4f}"
    within = f"{own.figure} {show(own.value)} of {own.samples} pictures, {ends},"
    if interval.high < bound:
        return GateFinding(own.figure, passed=False, text=f"{within} is below {bound:.4f} ({field})")
    decide = _would_decide(pictures_below(own.value, bound))
    text = f"{within} is not shown to be below {bound:.4f}: {decide} ({field})"
    return GateFinding(own.figure, passed=True, text=text, conclusive=False)


def judge_drop(
    own: Measured,
    other: Measured,
    allowed: float,
    *,
    serving: str,
    field: str,
    evidence: Evidence,
    z: float | None = None,
) -> GateFinding:
    """Compare a figure with the serving model's on the same pictures.

    Args:
        own: the candidate's.
        other: the serving model's.
        allowed: how far the candidate's may lie below.
        serving: the serving model's name.
        field: the bound's name, for the text.
        evidence: see `GatePolicy.evidence`.
        z: normal quantile of the interval; None: of 95 %.
    """
    # Decimal, since 0.90 - 0.88 > 0.02 in binary floating point.
    passed = exact(other.value) - exact(own.value) <= exact(allowed)
    theirs = f"{serving}'s {show(other.value)}"
    plain = f"{own.figure} {show(own.value)} is {'no more' if passed else 'more'} than {allowed:.4f} below {theirs}"
    if passed or evidence == "Point":
        return GateFinding(own.figure, passed, f"{plain} ({field})")
    if not own.samples or not other.samples:
        return GateFinding(own.figure, passed, f"{plain} ({field}); {_NO_INTERVAL}")
    interval = difference(other.value, other.samples, own.value, own.samples, z)
    shown = f"95 % interval of the drop {interval.low:.4f} to {interval.high:.4f}"
    if interval.low > allowed:
        return GateFinding(own.figure, passed=False, text=f"{plain}, {shown} ({field})")
    decide = _would_decide(pictures_more_than(other.value, own.value, allowed, z))
    text = (
        f"{own.figure} {show(own.value)} of {own.samples} pictures is not shown to be more than {allowed:.4f} below "
        f"{theirs}, {shown}: {decide} ({field})"
    )
    return GateFinding(own.figure, passed=True, text=text, conclusive=False)


def _would_decide(pictures: int | None) -> str:
    return f"about {pictures} pictures would decide" if pictures else "no number of pictures would decide"


def exact(value: float) -> Decimal:
    """Return the decimal number that a figure is written as."""
    return Decimal(repr(value))


def show(value: float | None) -> str:
    """Return a figure as messages have it."""
    return "none" if value is None else f"{value:.4f}"
