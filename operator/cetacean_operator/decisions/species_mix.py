"""The species that a model names: their shares, and how sure the model is of each beside the evaluation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cetacean_operator.decisions.answers import PooledAnswers
from cetacean_operator.decisions.chance import drop_chance, histogram_variance, share_chance
from cetacean_registry.figures import ModelMetrics, SpeciesMetrics

_COVERED = 0.5
"""At least this share of the answers must be of species with a reference, or nothing is said about how sure it is."""
_OTHER = "all other species"


class ShareChange(NamedTuple):
    """The species whose share differs most from the evaluation set's."""

    species: str
    share: float
    expected: float
    """The nearest share that the evaluation set allows."""
    chance: float
    """Probability of a difference this large of any species if the mix is the same."""

    @property
    def change(self) -> float:
        """How much the share differs, 0..1."""
        return abs(self.share - self.expected)


class Confidence(NamedTuple):
    """Mean top probability, and the mean that the evaluation set lets expect for the same species."""

    mean: float
    expected: float
    chance: float
    """Probability of a drop this large if the model is as sure of each species as it was."""

    @property
    def drop(self) -> float:
        """The expected mean less the mean."""
        return self.expected - self.mean


@dataclass(frozen=True, slots=True)
class _Expected:
    """How many pictures of the evaluation set the model names as a species: a number between two bounds."""

    species: str
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class _Found:
    """How often a species is named, beside its reference."""

    reference: _Expected
    count: int
    identified: int
    total: int
    """Pictures of the reference."""

    @property
    def share(self) -> float:
        return self.count / self.identified

    @property
    def nearest(self) -> float:
        """The number in the reference whose share is nearest."""
        return min(max(self.count * self.total / self.identified, self.reference.lowest), self.reference.highest)

    @property
    def expected(self) -> float:
        return self.nearest / self.total

    @property
    def chance(self) -> float:
        """The probability of a difference this large in this direction."""
        if self.share > self.expected:
            return share_chance(self.count, self.identified, of=self.reference.highest, among=self.total)
        if self.share < self.expected:
            return share_chance(self.reference.lowest, self.total, of=self.count, among=self.identified)
        return 1.0


def share_change(answers: PooledAnswers, metrics: ModelMetrics) -> ShareChange | None:
    """Return the largest change of a species' share; None without a reference or without answers.

    Fisher's exact test for each species in each direction, with Bonferroni's correction for their number.
    """
    expected, total = _expected(metrics)
    if not expected or not total or not answers.identified:
        return None
    named = {one.species for one in expected}
    others = sum(found.count for species, found in answers.species.items() if species not in named)
    counts = {species: found.count for species, found in answers.species.items()} | {_OTHER: others}
    found = [_Found(one, counts.get(one.species, 0), answers.identified, total) for one in expected]
    largest = max(found, key=lambda one: (abs(one.share - one.expected), one.reference.species))
    chance = min(1.0, 2 * len(expected) * largest.chance)
    return ShareChange(largest.reference.species, largest.share, largest.expected, chance)


def confidence_by_species(answers: PooledAnswers, metrics: ModelMetrics) -> Confidence | None:
    """Compare the mean top probability with the one expected for the same mix of species; None without a reference.

    Direct standardisation: the reference means are weighted by the species' shares now, so a changed mix alone changes
    nothing. The variance within a species is taken as that of all pictures together, or as the largest that values over
    0..1 with that mean can have if that is less (Bhatia and Davis, "A better bound on the variance", 2000).
    """
    pairs = [
        (found, one.named, one.named_top_probability_mean)
        for one in metrics.by_species or ()
        if (found := answers.species.get(one.species)) is not None
        and one.named
        and one.named_top_probability_mean is not None
    ]
    covered = sum(found.count for found, _, _ in pairs)
    if not covered or covered < _COVERED * answers.identified:
        return None
    both = answers.top_probability
    if metrics.reference is not None:
        both = tuple(map(sum, zip(both, metrics.reference.top_probability, strict=True)))
    spread = histogram_variance(both)
    mean = expected = variance = 0.0
    for found, named, reference in pairs:
        weight = found.count / covered
        mean += weight * found.mean
        expected += weight * reference
        pooled = (found.count * found.mean + named * reference) / (found.count + named)
        largest = min(spread, pooled * (1.0 - pooled))
        variance += weight**2 * largest * (1.0 / found.count + 1.0 / named)
    return Confidence(mean, expected, drop_chance(expected - mean, variance))


def _expected(metrics: ModelMetrics) -> tuple[list[_Expected], int]:
    """Return the reference of each species and of all others, and the number of pictures."""
    species = metrics.by_species or ()
    if all(one.named is not None for one in species) and metrics.reference is not None:
        total = sum(metrics.reference.top_probability)
        counted = [_Expected(one.species, named := min(one.named or 0, total), named) for one in species]
        rest = max(0, total - sum(one.lowest for one in counted))
        # Species that the set lacks are no change: their share is estimated by that of the species it has once
        # (Good and Turing; I. J. Good, "The population frequencies of species", Biometrika 40, 1953).
        once = sum(one.lowest == 1 for one in counted)
        return ([*counted, _Expected(_OTHER, rest, min(rest + once, total))] if species else []), total
    return _bounded(species), sum(one.samples for one in species)


def _bounded(species: Sequence[SpeciesMetrics]) -> list[_Expected]:
    """Return bounds of what the model names, from the truth and the share it gets right.

    Of the pictures of a species those that are right are named as it; any picture of another one may be, if it is
    wrong.
    """
    if not species:
        return []
    right = {one.species: round(one.samples * one.species_accuracy) for one in species}
    wrong = {one.species: one.samples - right[one.species] for one in species}
    errors = sum(wrong.values())
    found = [_Expected(name, hits, hits + errors - wrong[name]) for name, hits in right.items()]
    once = sum(one.samples == 1 for one in species)
    return [*found, _Expected(_OTHER, 0, min(errors + once, sum(one.samples for one in species)))]
