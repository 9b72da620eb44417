"""The signals of drift about the newest answers: when one is raised, and whose fault it may be.

A signal is raised if its value reaches its bound and chance alone cannot explain it, and it ends by the one rule of
`hysteresis`. `docs/drift.md` states what is promised about false alarms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from cetacean_operator.api.drift_signals import DriftSignals, Signal
from cetacean_operator.api.status import SignalName, SignalState, SignalStatus
from cetacean_operator.decisions.answers import PooledAnswers
from cetacean_operator.decisions.hysteresis import lasts, steady
from cetacean_operator.decisions.measured import Measured
from cetacean_operator.decisions.signal_figures import (
    Cause,
    measure_distribution,
    measure_low_confidence,
    measure_species,
    measure_top_probability,
)
from cetacean_registry.figures import ModelMetrics

FALSE_ALARMS: Final = 0.01
"""At most this share of windows, in which every answer is replaced once, raises any signal while nothing changes."""
TESTS: Final = 6
"""Top probability, low confidence, two histograms, the mix of species, how sure the model is of them."""
JUDGEMENTS: Final = 40
"""A window that slides has as many chances to exceed a bound as about so many windows that share no picture."""
LEVEL: Final = FALSE_ALARMS / (TESTS * JUDGEMENTS)
"""The largest chance that proves a value."""
_DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class SignalVerdict:
    """One signal."""

    shown: SignalStatus
    from_identification: bool = False
    """True if it is raised now by what the identification model produces, and the mix of species does not explain it.

    Only such a signal may be a reason to serve another model.
    """


def judge_signals(
    answers: PooledAnswers | None,
    metrics: ModelMetrics | None,
    policy: DriftSignals,
    last: Iterable[SignalStatus],
) -> tuple[SignalVerdict, ...]:
    """Judge each enabled signal.

    Args:
        answers: of the pods that serve the model; None if none has reported any.
        metrics: the figures of that model.
        policy: the bounds.
        last: the signals shown last for this model.
    """
    shown = {one.signal: one for one in last}
    parts: tuple[tuple[SignalName, Signal], ...] = (
        ("TopProbability", policy.top_probability),
        ("LowConfidence", policy.low_confidence),
        ("Distribution", policy.distribution),
        ("BySpecies", policy.by_species),
    )
    if answers is None or metrics is None:
        reason = "NoReports" if answers is None else "NoReference"
        return tuple(_unknown(name, reason) for name, part in parts if part.enabled)
    cause = measure_species(answers, metrics, policy)
    measured: dict[SignalName, Sequence[Measured | None]] = {
        "TopProbability": (measure_top_probability(answers, metrics, policy),),
        "LowConfidence": (measure_low_confidence(answers, metrics, policy),),
        "Distribution": measure_distribution(answers, metrics, policy),
        # If both are raised, the identification is worse: its answers change the mix too.
        "BySpecies": (cause.worse, cause.mix),
    }
    explained = is_explained_by_mix(cause, policy.by_species.min_samples)
    return tuple(
        replace(verdict, from_identification=False) if explained else verdict
        for name, part in parts
        if part.enabled
        for verdict in (
            _judge(name, measured[name], part.min_samples, shown.get(name), any_answers=answers.identified > 0),
        )
    )


def is_explained_by_mix(cause: Cause, min_samples: int) -> bool:
    """Return true if the mix of species has changed, and the model is as sure of each species as it was."""
    mix, worse = cause.mix, cause.worse
    if mix is None or worse is None or mix.samples < min_samples:
        return False
    return mix.value >= mix.bound and mix.chance <= LEVEL and worse.value < worse.bound


def held_signals(last: Iterable[SignalStatus], policy: DriftSignals) -> tuple[SignalVerdict, ...]:
    """Return the signals while no pod answers: those that were raised stay, of the others nothing is known."""
    raised = {one.signal: SignalVerdict(one) for one in last if one.raised}
    return tuple(raised.get(one.shown.signal, one) for one in judge_signals(None, None, policy, ()))


def _judge(
    name: SignalName,
    measured: Sequence[Measured | None],
    min_samples: int,
    last: SignalStatus | None,
    *,
    any_answers: bool,
) -> SignalVerdict:
    """Judge the figures of one signal: the first that is raised counts, else the first that may become so."""
    known = [one for one in measured if one is not None]
    if not known:
        return _unknown(name, "NoReference" if any_answers else "TooFewSamples")
    enough = [one for one in known if one.samples >= min_samples]
    if not enough:
        return SignalVerdict(_shown(name, "Unknown", "TooFewSamples", known[0], last))
    for one in enough:
        raised = last is not None and last.raised and last.reason == one.reason
        if lasts(one.value, one.bound, raised=raised) and (raised or one.chance <= LEVEL):
            shown = _shown(name, "Raised", one.reason, one, last)
            return SignalVerdict(shown, from_identification=one.from_identification)
    for one in enough:
        if one.value >= one.bound:
            return SignalVerdict(_shown(name, "Unknown", "NotProven", one, last))
    return SignalVerdict(_shown(name, "WithinBounds", "WithinBounds", _nearest(enough), last))


def _nearest(measured: Sequence[Measured]) -> Measured:
    """Return the figure that comes nearest to its bound."""
    return max(measured, key=lambda one: one.value / one.bound)


def _shown(
    name: SignalName, state: SignalState, reason: str, measured: Measured, last: SignalStatus | None
) -> SignalStatus:
    """Return what the status shows; the figure stays while it has hardly moved, and so does the message."""
    same = last if last is not None and (last.state, last.reason) == (state, reason) else None
    value = steady(measured.value, same.value if same else None, digits=_DIGITS, bound=measured.bound)
    kept = same is not None and value == same.value and same.samples == measured.samples
    return SignalStatus(
        signal=name,
        state=state,
        reason=reason,
        value=value,
        bound=measured.bound,
        samples=measured.samples,
        message=None if state != "Raised" else same.message if kept and same else measured.text,
    )


@cache
def _unknown(name: SignalName, reason: str) -> SignalVerdict:
    return SignalVerdict(SignalStatus(signal=name, state="Unknown", reason=reason))
