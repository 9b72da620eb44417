"""The figures of a stage as the status shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cetacean_operator.api.candidate import CanaryFigures, ShadowFigures, StageShare
from cetacean_operator.api.shadow import UNIT, ShadowReport
from cetacean_operator.decisions.canary_verdict import Answered, CanaryShare
from cetacean_operator.decisions.shadow_verdict import Share

_DIGITS: Final = 4


def shadow_figures(report: ShadowReport) -> ShadowFigures:
    """Return the counts of all pods together, and the means that follow from them."""
    pairs, noise = report.candidate, report.noise
    shift = pairs.probability_other - pairs.probability_served
    return ShadowFigures(
        pictures=pairs.pairs,
        failed=report.failed,
        busy=report.busy,
        dropped=report.dropped,
        accepted=pairs.accepted,
        both_accepted=pairs.both_accepted,
        species=pairs.species,
        individual=pairs.individual,
        slower=pairs.slower,
        score_shift=_ratio(pairs.score_difference, UNIT * pairs.pairs),
        probability_shift=_ratio(shift, UNIT * pairs.both_accepted),
        compute_ratio=_ratio(pairs.compute_us_other, pairs.compute_us_served),
        noise_pictures=noise.pairs,
        noise_accepted=noise.accepted,
        noise_both_accepted=noise.both_accepted,
        noise_species=noise.species,
        noise_individual=noise.individual,
    )


def canary_figures(weight: int, pods: int, candidate: Answered, stable: Answered) -> CanaryFigures:
    """Return the answers of both groups."""
    return CanaryFigures(
        weight=weight,
        candidate_pods=pods,
        requests=candidate.requests,
        errors=candidate.errors,
        stable_requests=stable.requests,
        stable_errors=stable.errors,
        median_seconds=_seconds(candidate.median),
        stable_median_seconds=_seconds(stable.median),
    )


def stage_shares(shares: Iterable[Share | CanaryShare]) -> tuple[StageShare, ...]:
    """Return the requirements of a stage beside what was counted."""
    return tuple(
        StageShare(
            name=share.name,
            successes=share.successes,
            trials=share.trials,
            observed=_ratio(share.successes, share.trials),
            low=round(share.low, _DIGITS),
            high=round(share.high, _DIGITS),
            smallest=round(share.smallest, _DIGITS),
        )
        for share in shares
    )


def _ratio(value: float, by: float) -> float | None:
    return round(value / by, _DIGITS) if by else None


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
