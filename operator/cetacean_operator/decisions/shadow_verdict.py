"""Judge a candidate by the pairs of answers: agrees, disagrees, or not enough pictures yet.

Each requirement is a share of independent trials with a smallest value, judged by bounds that hold however often they
are judged (`confidence_sequence`). A candidate fails if the upper bound of one share is below its smallest value. The
error of 5 % is divided among all shares (Bonferroni), so one that meets every requirement is refused, at whatever
number of pairs, in at most 5 % of comparisons. It passes if the lower bound of every share reaches the smallest
value. One that misses a requirement passes in at most 5 % of comparisons: all shares must pass, so nothing is to be
divided.

What serves need not agree with a candidate more than with itself. If it has several pods, two of them answer some of
the pictures, and the smallest agreement is the required one times the true agreement of these pods. That is not known
either: it has bounds of the same kind, which take a fifth of the share's error. A candidate fails below the lower one
of them, and passes above the upper one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cetacean_operator.api.shadow import PairCounts, ShadowReport
from cetacean_operator.api.stages import ShadowRequirement
from cetacean_operator.decisions.confidence_sequence import Bounds, share_bounds
from cetacean_registry.figures import MAX_SPECIES

ALPHA: Final = 0.05
"""Chance that a comparison ends with a wrong verdict, at most, in each direction."""
_MAIN_SHARES: Final = 5
_ALPHA_MAIN: Final = 0.8 * ALPHA / _MAIN_SHARES
_ALPHA_SPECIES: Final = 0.2 * ALPHA / MAX_SPECIES
_OF_NOISE: Final = 0.2
"""The part of a share's error that the agreement of what serves with itself has."""


class Outcome(StrEnum):
    """The result of a comparison."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Share:
    """One requirement beside what was counted."""

    name: str
    reason: str
    """Of the condition, if it fails."""
    successes: int
    trials: int
    smallest: float
    """It passes if its lower bound reaches it."""
    fails_below: float
    """It fails if its upper bound is below it. Less than `smallest` if the agreement of what serves with itself is not
    known exactly."""
    must_pass: bool = True
    """False for one species: there may never be enough pictures of it, so it can only fail."""
    error: float = 1.0
    """The part of the error that is its own; the other part is that of what it is compared with."""

    @property
    def observed(self) -> float | None:
        """The share so far, None without trials."""
        return self.successes / self.trials if self.trials else None

    @property
    def low(self) -> float:
        """The lower bound of the true share, by which it passes."""
        return share_bounds(self.successes, self.trials, alpha=self.error * ALPHA).low

    @property
    def high(self) -> float:
        """The upper bound, by which it fails."""
        alpha = _ALPHA_MAIN if self.must_pass else _ALPHA_SPECIES
        return share_bounds(self.successes, self.trials, alpha=self.error * alpha).high


@dataclass(frozen=True, slots=True)
class ShadowVerdict:
    """The outcome, and what decides it."""

    outcome: Outcome
    reason: str
    """Agrees, Disagrees, Slower, Failing or Running."""
    message: str
    shares: tuple[Share, ...] = ()


def judge_shadow(report: ShadowReport, require: ShadowRequirement, *, several_pods: bool) -> ShadowVerdict:
    """Judge the pooled counts of one run.

    Args:
        report: of all pods that serve, added up.
        require: of the stage.
        several_pods: True if two pods of what serves answer some of the pictures. One pod agrees with itself.
    """
    shares = tuple(_shares(report, require, several_pods=several_pods))
    failed = [share for share in shares if share.high < share.fails_below]
    if failed:
        worst = max(failed, key=lambda share: share.fails_below - share.high)
        return ShadowVerdict(Outcome.FAILED, worst.reason, _describe(worst), shares)
    open_shares = [share for share in shares if share.must_pass and share.low < share.smallest]
    pairs = report.candidate.pairs
    if pairs < require.pictures or open_shares:
        return ShadowVerdict(Outcome.UNDECIDED, "Running", _progress(pairs, require, open_shares), shares)
    message = f"{pairs} pictures were answered by both: " + ", ".join(_figure(share) for share in _main(shares))
    return ShadowVerdict(Outcome.PASSED, "Agrees", message, shares)


def _shares(report: ShadowReport, require: ShadowRequirement, *, several_pods: bool) -> Iterator[Share]:
    pairs, noise = report.candidate, report.noise
    answered = pairs.pairs
    smallest = 1.0 - require.max_error_percent / 100
    yield Share("answered", "Failing", answered, answered + report.failed, smallest, smallest)
    yield Share("not slower than the bound", "Slower", answered - pairs.slower, answered, 0.5, 0.5)
    least, both = require.min_agreement, pairs.both_accepted
    accepted, species, individual = _with_itself(noise) if several_pods else (None, None, None)
    yield _agreement("same acceptance", pairs.accepted, pairs.pairs, least.accepted, accepted)
    yield _agreement("same species", pairs.species, both, least.species, species)
    yield _agreement("same individual", pairs.individual, both, least.individual, individual)
    # The bounds of one species are for so many of them. Each pod reports the first ones that it has met.
    most = sorted(pairs.by_species.items(), key=lambda item: (-item[1].pairs, item[0]))[:MAX_SPECIES]
    for name, counts in most:
        one = _agreement(f"same species for {name}", counts.species, counts.pairs, least.species, species)
        yield replace(one, must_pass=False)


def _agreement(name: str, successes: int, trials: int, required: float, with_itself: Bounds | None) -> Share:
    reason = "Disagrees"
    if with_itself is None:
        return Share(name, reason, successes, trials, required, required)
    smallest, fails_below = required * with_itself.high, required * with_itself.low
    return Share(name, reason, successes, trials, smallest, fails_below, error=1.0 - _OF_NOISE)


def _with_itself(noise: PairCounts) -> tuple[Bounds, Bounds, Bounds]:
    """Return the bounds of how often two pods of what serves agree about acceptance, species and individual.

    A share fails by the lower one and passes by the upper one, so each has its part of that error.
    """
    return (
        _noise_bounds(noise.accepted, noise.pairs),
        _noise_bounds(noise.species, noise.both_accepted),
        _noise_bounds(noise.individual, noise.both_accepted),
    )


def _noise_bounds(agreeing: int, trials: int) -> Bounds:
    low = share_bounds(agreeing, trials, alpha=_OF_NOISE * _ALPHA_MAIN).low
    return Bounds(low, share_bounds(agreeing, trials, alpha=_OF_NOISE * ALPHA).high)


def _main(shares: Sequence[Share]) -> Iterator[Share]:
    return (share for share in shares if share.must_pass)


def _figure(share: Share) -> str:
    return f"{share.name} {share.observed or 0.0:.4f} (at least {share.smallest:.4g})"


def _describe(share: Share) -> str:
    return (
        f"{share.name}: {share.successes} of {share.trials} pictures, a true share of at most {share.high:.4f}, "
        f"expected at least {share.fails_below:.4g}"
    )


def _progress(pairs: int, require: ShadowRequirement, still_open: Sequence[Share]) -> str:
    missing = ", ".join(
        f"{share.name} is between {share.low:.3f} and {share.high:.3f}, expected at least {share.smallest:.4g}"
        for share in still_open[:3]
    )
    progress = f"{pairs} pictures were answered by both, at least {require.pictures} are needed"
    return f"{progress}; {missing}" if missing else progress


def pool(reports: Sequence[ShadowReport], run: str) -> ShadowReport:
    """Add up what the pods report about one run."""
    total = ShadowReport(run=run)
    for report in reports:
        if report.run == run:
            total += report
    return total
