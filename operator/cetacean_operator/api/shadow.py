"""Counts over pairs of answers of the served model and a candidate, as pods report them (`/v1/shadow-stats`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

UNIT = 10_000
"""The integer that stands for 1.0 in sums of scores and probabilities."""


@dataclass(frozen=True, slots=True)
class SpeciesPairs:
    """Pairs that both models accept, of one species by the served model."""

    pairs: int = 0
    species: int = 0
    individual: int = 0


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Integers, so that those of several pods add up exactly. The service's `shadow/agreement.py` defines each."""

    pairs: int = 0
    accepted: int = 0
    both_accepted: int = 0
    species: int = 0
    individual: int = 0
    score_difference: int = 0
    probability_served: int = 0
    probability_other: int = 0
    compute_us_served: int = 0
    compute_us_other: int = 0
    slower: int = 0
    higher: int = 0
    lower: int = 0
    by_species: Mapping[str, SpeciesPairs] = field(default_factory=dict)

    def __add__(self, other: PairCounts) -> PairCounts:
        """Add the counts of another pod."""
        names = sorted(self.by_species.keys() | other.by_species.keys())
        nothing = SpeciesPairs()
        found = {name: (self.by_species.get(name, nothing), other.by_species.get(name, nothing)) for name in names}
        species = {
            name: SpeciesPairs(a.pairs + b.pairs, a.species + b.species, a.individual + b.individual)
            for name, (a, b) in found.items()
        }
        return PairCounts(**{name: getattr(self, name) + getattr(other, name) for name in COUNTS}, by_species=species)


COUNTS = tuple(item.name for item in fields(PairCounts) if item.name != "by_species")
"""The names of all counts over pairs."""


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """One pod's comparison."""

    run: str = ""
    """Names the candidate; counts of another run are not about this one."""
    sampled: int = 0
    dropped: int = 0
    busy: int = 0
    failed: int = 0
    """Pictures about which the candidate gave no answer."""
    candidate: PairCounts = PairCounts()
    noise: PairCounts = PairCounts()
    """Pairs with another pod of the served model."""

    def __add__(self, other: ShadowReport) -> ShadowReport:
        """Add another pod's report of the same run."""
        return ShadowReport(
            run=self.run,
            sampled=self.sampled + other.sampled,
            dropped=self.dropped + other.dropped,
            busy=self.busy + other.busy,
            failed=self.failed + other.failed,
            candidate=self.candidate + other.candidate,
            noise=self.noise + other.noise,
        )
