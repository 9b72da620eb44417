"""The figures of the signals about the newest answers, beside those of the model's evaluation set.

A function returns nothing if the model lacks the figures that its signal needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from cetacean_operator.api.drift_signals import DriftSignals
from cetacean_operator.decisions.answers import PooledAnswers
from cetacean_operator.decisions.chance import (
    distance_chance,
    drop_chance,
    histogram_variance,
    largest_distance,
    share_chance,
)
from cetacean_operator.decisions.measured import Measured
from cetacean_operator.decisions.species_mix import confidence_by_species, share_change
from cetacean_registry.figures import HISTOGRAM_BINS, ModelMetrics


@dataclass(frozen=True, slots=True)
class Cause:
    """The figures by species, which show if the identification is worse."""

    worse: Measured | None
    """How much less sure the model is of the same species; None without a reference by species."""
    mix: Measured | None
    """How much the mix of species has changed."""


def measure_top_probability(answers: PooledAnswers, metrics: ModelMetrics, policy: DriftSignals) -> Measured | None:
    """Measure the drop of the mean top probability; the variance is that of both samples together."""
    identification, bound = metrics.identification, policy.top_probability.max_drop
    if identification is None or identification.top_probability_mean is None or not answers.identified:
        return None
    mean, expected = answers.top_probability_mean, identification.top_probability_mean
    reference = metrics.reference.top_probability if metrics.reference else ()
    if any(reference):
        size = sum(reference)
        both = [one + other for one, other in zip(answers.top_probability, reference, strict=True)]
        variance = histogram_variance(both)
    else:
        # Without a histogram only the largest variance that values over 0..1 can have is known.
        size = identification.samples
        variance = max(expected * (1.0 - expected), histogram_variance(answers.top_probability))
    if not size:
        return None
    return Measured(
        value=expected - mean,
        bound=bound,
        samples=answers.identified,
        chance=drop_chance(expected - mean, variance * (1.0 / answers.identified + 1.0 / size)),
        reason="TopProbabilityDropped",
        text=f"mean top probability {mean:.3f} over {answers.identified} pictures, {expected - mean:.3f} below "
        f"the {expected:g} of the evaluation set: at least {bound:g} (topProbability.maxDrop)",
        from_identification=True,
    )


def measure_low_confidence(answers: PooledAnswers, metrics: ModelMetrics, policy: DriftSignals) -> Measured | None:
    """Measure the increase of the low-confidence rate; the first bin of the reference is what the service rejects."""
    if metrics.reference is None or not answers.identified or not (size := sum(metrics.reference.top_probability)):
        return None
    hits, bound = metrics.reference.top_probability[0], policy.low_confidence.max_increase
    rate, expected = answers.low_confidence / answers.identified, hits / size
    return Measured(
        value=rate - expected,
        bound=bound,
        samples=answers.identified,
        chance=share_chance(answers.low_confidence, answers.identified, of=hits, among=size),
        reason="LowConfidenceRisen",
        text=f"{rate:.3f} of {answers.identified} pictures are rejected as low_confidence, {rate - expected:.3f} more "
        f"than the {expected:.3f} of the evaluation set: at least {bound:g} (lowConfidence.maxIncrease)",
        from_identification=True,
    )


def measure_distribution(answers: PooledAnswers, metrics: ModelMetrics, policy: DriftSignals) -> list[Measured]:
    """Measure the distance of each of the two histograms, the larger first; empty without a reference or answers."""
    if metrics.reference is None:
        return []
    found = [
        _distance(name, counts, reference, policy.distribution.max_distance, identified=identified)
        for name, counts, reference, identified in (
            ("top probability", answers.top_probability, metrics.reference.top_probability, True),
            ("cetacean score", answers.cetacean_score, metrics.reference.cetacean_score, False),
        )
        if any(counts) and any(reference)
    ]
    return sorted(found, key=lambda one: one.value, reverse=True)


def measure_species(answers: PooledAnswers, metrics: ModelMetrics, policy: DriftSignals) -> Cause:
    """Measure the change of the mix, and how sure the model is of each species."""
    bounds = policy.by_species
    worse = mix = None
    if change := share_change(answers, metrics):
        mix = Measured(
            value=change.change,
            bound=bounds.max_share_change,
            samples=answers.identified,
            chance=change.chance,
            reason="SpeciesMixChanged",
            text=f"{change.share:.3f} of {answers.identified} pictures are named as {change.species}, on the "
            f"evaluation set {change.expected:.3f}: a change of at least {bounds.max_share_change:g} "
            "(bySpecies.maxShareChange)",
            from_identification=False,
        )
    if sure := confidence_by_species(answers, metrics):
        worse = Measured(
            value=sure.drop,
            bound=bounds.max_drop,
            samples=answers.identified,
            chance=sure.chance,
            reason="IdentificationWorse",
            text=f"mean top probability {sure.mean:.3f} over {answers.identified} pictures, {sure.drop:.3f} below "
            f"the {sure.expected:.3f} that the evaluation set has for these species: at least {bounds.max_drop:g} "
            "(bySpecies.maxDrop)",
            from_identification=True,
        )
    return Cause(worse, mix)


def _distance(
    name: str, counts: tuple[int, ...], reference: tuple[int, ...], bound: float, *, identified: bool
) -> Measured:
    distance, place = largest_distance(counts, reference)
    samples = sum(counts)
    below, expected = sum(counts[:place]) / samples, sum(reference[:place]) / sum(reference)
    return Measured(
        value=abs(distance),
        bound=bound,
        samples=samples,
        chance=distance_chance(abs(distance), samples, sum(reference)),
        reason="DistributionChanged",
        text=f"{below:.3f} of {samples} pictures have a {name} below {place / HISTOGRAM_BINS:g}, on the evaluation set "
        f"{expected:.3f}: a distance of at least {bound:g} (distribution.maxDistance)",
        from_identification=identified,
    )
