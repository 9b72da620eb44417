"""The part of the gate that compares two models species by species: the mean over all hides a species that was lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cetacean_registry.evidence import GateFinding, Measured, judge_drop
from cetacean_registry.figures import SpeciesMetrics
from cetacean_registry.intervals import quantile
from cetacean_registry.policy import BySpeciesPolicy, Evidence

FIGURE: Final = "figures by species"
FIELD: Final = "bySpecies"
MOST_NAMED: Final = 8
"""Species that a message names; the number of the others is given."""
_REMEDY: Final = "; scripts/compute_metrics.py computes them on pictures with a species"


def judge_species(
    own: Sequence[SpeciesMetrics] | None,
    serving: str,
    theirs: Sequence[SpeciesMetrics] | None,
    *,
    policy: BySpeciesPolicy,
    evidence: Evidence,
) -> Iterator[GateFinding]:
    """Compare the species accuracy of each species that has enough pictures.

    As Interval, all intervals hold together at 95 % (Bonferroni): with many species, one is worse by chance.

    Args:
        own: the candidate's figures.
        serving: the serving model's name.
        theirs: its figures.
        policy: the bounds.
        evidence: see `GatePolicy.evidence`.
    """
    if not own or not theirs:
        owner = "" if not own else f" of {serving}"
        yield GateFinding(FIGURE, passed=False, text=f"{FIGURE}{owner} are missing ({FIELD}){_REMEDY}")
        return
    mine = {one.species: one for one in own}
    judged = [one for one in theirs if one.samples >= policy.min_samples]
    z = quantile(comparisons=max(1, len(judged)))
    findings = [_judge_one(mine.get(one.species), one, serving, policy, evidence, z) for one in judged]
    refused = [finding for finding in findings if not finding.passed]
    yield from refused[:MOST_NAMED]
    if len(refused) > MOST_NAMED:
        text = f"{len(refused) - MOST_NAMED} more species are worse than {serving}'s ({FIELD})"
        yield GateFinding(FIGURE, passed=False, text=text)
    yield from [finding for finding in findings if not finding.conclusive][:MOST_NAMED]
    kept = sum(finding.passed for finding in findings)
    skipped = len(theirs) - len(judged)
    yield GateFinding(FIGURE, passed=True, text=_summary(kept, skipped, serving, policy))


def _judge_one(
    own: SpeciesMetrics | None,
    other: SpeciesMetrics,
    serving: str,
    policy: BySpeciesPolicy,
    evidence: Evidence,
    z: float,
) -> GateFinding:
    figure = f"species accuracy of {other.species}"
    if own is None:
        text = f"{figure} is missing, {serving} has {other.species_accuracy:.4f} ({FIELD})"
        return GateFinding(figure, passed=False, text=text)
    if own.samples != other.samples:
        text = f"{figure} is of {own.samples} pictures, {serving}'s is of {other.samples}: not the same set ({FIELD})"
        return GateFinding(figure, passed=False, text=text)
    return judge_drop(
        Measured(figure, own.species_accuracy, own.samples),
        Measured(figure, other.species_accuracy, other.samples),
        policy.max_regression,
        serving=serving,
        field=f"{FIELD}.maxRegression, {own.samples} pictures",
        evidence=evidence,
        z=z,
    )


def _summary(kept: int, skipped: int, serving: str, policy: BySpeciesPolicy) -> str:
    bound = f"no more than {policy.max_regression:.4f} below {serving}'s"
    few = f"; not judged, as there are fewer than {policy.min_samples} pictures: {skipped}" if skipped else ""
    return f"species whose accuracy is {bound}: {kept}{few} ({FIELD})"
