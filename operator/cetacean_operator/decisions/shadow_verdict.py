"""Judge a candidate by the pairs of answers: agrees, disagrees, or not enough pictures yet.

Each requirement is a share of independent trials with a smallest value, judged by bounds that hold however often they
are judged (`confidence_sequence`). A candidate fails if the upper bound of one share is below its smallest value. The
error of 5 % is divided among all shares (Bonferroni), so one that meets every requirement is refused, at whatever
number of pairs, in at most 5 % of comparisons. It passes if the lower bound of every share reaches the smallest
value. One that misses a requirement passes in at most 5 % of comparisons: all shares must pass, so nothing is to be
divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cetacean_operator.api.shadow import ShadowReport
from cetacean_operator.decisions.confidence_sequence import share_bounds

ALPHA: Final = 0.05
"""Chance that a comparison ends with a wrong verdict, at most, in each direction."""
_MOST_SPECIES: Final = 64
_MAIN_SHARES: Final = 5
_ALPHA_MAIN: Final = 0.8 * ALPHA / _MAIN_SHARES
_ALPHA_SPECIES: Final = 0.2 * ALPHA / _MOST_SPECIES
_FEWEST_NOISE_PAIRS: Final = 30
"""With fewer pairs nobody knows how often what serves disagrees with itself, and nothing is allowed for it."""


class Outcome(StrEnum):
    """The result of a comparison."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Requirements:
    """Smallest shares, 0 to 1, and the number of pairs before which nothing passes."""

    pictures: int = 300
    accepted: float = 0.99
    species: float = 0.98
    individual: float = 0.85
    max_error_share: float = 0.01


@dataclass(frozen=True, slots=True)
class Share:
    """One requirement beside what was counted."""

    name: str
    reason: str
    """Of the condition, if it fails."""
    successes: int
    trials: int
    smallest: float
    must_pass: bool = True
    """False for one species: there may never be enough pictures of it, so it can only fail."""

    @property
    def observed(self) -> float | None:
        """The share so far, None without trials."""
        return self.successes / self.trials if self.trials else None

    @property
    def low(self) -> float:
        """The lower bound of the true share, by which it passes."""
        return share_bounds(self.successes, self.trials, alpha=ALPHA).low

    @property
    def high(self) -> float:
        """The upper bound, by which it fails."""
        alpha = _ALPHA_MAIN if self.must_pass else _ALPHA_SPECIES
        return share_bounds(self.successes, self.trials, alpha=alpha).high


@dataclass(frozen=True, slots=True)
class ShadowVerdict:
    """The outcome, and what decides it."""

    outcome: Outcome
    reason: str
    """Agrees, Disagrees, Slower, Failing or Running."""
    message: str
    shares: tuple[Share, ...] = ()


def judge_shadow(report: ShadowReport, requirements: Requirements) -> ShadowVerdict:
    """Judge the pooled counts of one run.

    Args:
        report: of all pods that serve, added up.
        requirements: of the stage.
    """
    shares = tuple(_shares(report, requirements))
    failed = [share for share in shares if share.high < share.smallest]
    if failed:
        worst = max(failed, key=lambda share: share.smallest - share.high)
        return ShadowVerdict(Outcome.FAILED, worst.reason, _describe(worst), shares)
    open_shares = [share for share in shares if share.must_pass and share.low < share.smallest]
    pairs = report.candidate.pairs
    if pairs < requirements.pictures or open_shares:
        return ShadowVerdict(Outcome.UNDECIDED, "Running", _progress(pairs, requirements, open_shares), shares)
    message = f"{pairs} pictures were answered by both: " + ", ".join(_figure(share) for share in _main(shares))
    return ShadowVerdict(Outcome.PASSED, "Agrees", message, shares)


def _shares(report: ShadowReport, requirements: Requirements) -> Iterator[Share]:
    pairs, noise = report.candidate, report.noise
    answered = pairs.pairs
    yield Share("answered", "Failing", answered, answered + report.failed, 1.0 - requirements.max_error_share)
    yield Share("not slower than the bound", "Slower", answered - pairs.slower, answered, 0.5)
    disagreement = "Disagrees"
    yield Share(
        "same acceptance",
        disagreement,
        pairs.accepted,
        pairs.pairs,
        _above_noise(requirements.accepted, noise.accepted, noise.pairs),
    )
    same_species = _above_noise(requirements.species, noise.species, noise.both_accepted)
    yield Share("same species", disagreement, pairs.species, pairs.both_accepted, same_species)
    yield Share(
        "same individual",
        disagreement,
        pairs.individual,
        pairs.both_accepted,
        _above_noise(requirements.individual, noise.individual, noise.both_accepted),
    )
    for name, counts in pairs.by_species.items():
        yield Share(
            f"same species for {name}", disagreement, counts.species, counts.pairs, same_species, must_pass=False
        )


def _above_noise(smallest: float, agreeing: int, trials: int) -> float:
    """Return the smallest agreement with the candidate: what serves need not agree with it more than with itself."""
    if trials < _FEWEST_NOISE_PAIRS:
        return smallest
    return smallest * agreeing / trials


def _main(shares: Sequence[Share]) -> Iterator[Share]:
    return (share for share in shares if share.must_pass)


def _figure(share: Share) -> str:
    return f"{share.name} {share.observed or 0.0:.4f} (at least {share.smallest:.4g})"


def _describe(share: Share) -> str:
    return (
        f"{share.name}: {share.successes} of {share.trials} pictures, a true share of at most {share.high:.4f}, "
        f"expected at least {share.smallest:.4g}"
    )


def _progress(pairs: int, requirements: Requirements, still_open: Sequence[Share]) -> str:
    missing = ", ".join(
        f"{share.name} is between {share.low:.3f} and {share.high:.3f}, expected at least {share.smallest:.4g}"
        for share in still_open[:3]
    )
    progress = f"{pairs} pictures were answered by both, at least {requirements.pictures} are needed"
    return f"{progress}; {missing}" if missing else progress


def pool(reports: Sequence[ShadowReport], run: str) -> ShadowReport:
    """Add up what the pods report about one run."""
    total = ShadowReport(run=run)
    for report in reports:
        if report.run == run:
            total += report
    return total
