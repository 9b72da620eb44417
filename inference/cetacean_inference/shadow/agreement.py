"""Counts over pairs of answers to the same picture; integers only, so that pods' counts add up exactly."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cetacean_inference.monitoring.species_names import short_species
from cetacean_inference.shadow.answers import Answer
from cetacean_registry.figures import MAX_SPECIES


@dataclass(frozen=True, slots=True)
class PairBounds:
    """Bounds by which a pair is compared, besides equality."""

    max_latency_ratio: float = 1.5
    probability_offset: int = 0
    """The served model's expected probability less the other's, in units of 1/10000."""


@dataclass(slots=True)
class SpeciesAgreement:
    """Pairs that both models accept, of one species by the served model."""

    pairs: int = 0
    species: int = 0
    individual: int = 0


@dataclass(slots=True)
class Agreement:
    """Counts over the pairs of answers of the served model and another one."""

    pairs: int = 0
    accepted: int = 0
    """Pairs in which both accept or both reject the picture."""
    both_accepted: int = 0
    """Pairs in which both accept; the two below are out of these."""
    species: int = 0
    individual: int = 0
    score_difference: int = 0
    """Sum of the other's minus the served model's cetacean score, in units of 1/10000."""
    probability_served: int = 0
    """Sums over the pairs that both accept, in units of 1/10000."""
    probability_other: int = 0
    compute_us_served: int = 0
    """Sums of the networks' time, in microseconds."""
    compute_us_other: int = 0
    slower: int = 0
    """Pairs in which the other's networks took longer than the bound on the ratio."""
    higher: int = 0
    """Pairs that both accept, in which the other's probability less what is expected of it is the higher one."""
    lower: int = 0
    by_species: dict[str, SpeciesAgreement] = field(default_factory=dict)

    def count(self, served: Answer, other: Answer, bounds: PairBounds = PairBounds()) -> bool:
        """Count a pair; return true if the answers agree about acceptance, species and individual."""
        self.pairs += 1
        self.score_difference += other.score - served.score
        self.compute_us_served += served.compute_us
        self.compute_us_other += other.compute_us
        self.slower += other.compute_us > served.compute_us * bounds.max_latency_ratio
        if served.accepted != other.accepted:
            return False
        self.accepted += 1
        if not served.accepted:
            return True
        same_species, same_individual = served.species == other.species, served.individual == other.individual
        self.both_accepted += 1
        self.species += same_species
        self.individual += same_individual
        self.probability_served += served.probability
        self.probability_other += other.probability
        relative = other.probability + bounds.probability_offset - served.probability
        self.higher += relative > 0
        self.lower += relative < 0
        name = short_species(served.species)
        if name in self.by_species or len(self.by_species) < MAX_SPECIES:  # more are only in the sums over all
            by_species = self.by_species.setdefault(name, SpeciesAgreement())
            by_species.pairs += 1
            by_species.species += same_species
            by_species.individual += same_individual
        return same_species and same_individual

    def report(self) -> dict[str, Any]:
        """Return all counts, the species as a list."""
        values = asdict(self)
        species = sorted(values.pop("by_species").items())
        return values | {"by_species": [{"name": name, **counts} for name, counts in species]}
