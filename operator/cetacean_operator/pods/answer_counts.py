"""The newest answers of a pod, as `/v1/drift-stats` reports them: used whole or not at all.

A pod may say anything. Counts are whole numbers within a bound and must fit together, so that no pod can count for more
than its pictures; a report that does not is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cetacean_operator.api.drift_signals import LARGEST_WINDOW
from cetacean_operator.api.observed import PROBABILITY_UNIT, AnswerCounts, SpeciesCount
from cetacean_operator.pods.counts import whole
from cetacean_registry.figures import HISTOGRAM_BINS, LONGEST_SPECIES_NAME, MAX_SPECIES

_OTHER_SPECIES: Final = 1
"""Pods count those beyond MAX_SPECIES under one more name."""
_EXACT: Final = 1e-3
"""Sums have four decimals; a float is nearer to one than this, in units of the last."""


def parse_answers(given: object) -> AnswerCounts | None:
    """Return the counts; None if the pod reports none, or if they cannot be counts of pictures."""
    if not isinstance(given, Mapping):
        return None
    answered, identified, low = (_count(given.get(name)) for name in ("n", "identified", "low_confidence"))
    scores, probabilities = (_histogram(given.get(name)) for name in ("cetacean_score", "top_probability"))
    species = _species(given.get("species"))
    if answered is None or identified is None or low is None:
        return None
    if scores is None or probabilities is None or species is None:
        return None
    fits = (
        sum(scores) == answered >= identified == sum(probabilities) == sum(one.number for one in species)
        and low <= identified
    )
    return AnswerCounts(answered, identified, low, scores, probabilities, species) if fits else None


def _count(value: object) -> int | None:
    return whole(value, largest=LARGEST_WINDOW)


def _histogram(given: object) -> tuple[int, ...] | None:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != HISTOGRAM_BINS:
        return None
    counts = [_count(value) for value in given]
    known = tuple(count for count in counts if count is not None)
    return known if len(known) == HISTOGRAM_BINS else None


def _species(given: object) -> tuple[SpeciesCount, ...] | None:
    if not isinstance(given, Mapping) or len(given) > MAX_SPECIES + _OTHER_SPECIES:
        return None
    found = [_species_count(name, figures) for name, figures in given.items()]
    known = tuple(one for one in found if one is not None)
    return known if len(known) == len(found) else None


def _species_count(name: str, figures: Any) -> SpeciesCount | None:
    if not isinstance(figures, Mapping) or len(name) > LONGEST_SPECIES_NAME:
        return None
    count, total = _count(figures.get("n")), figures.get("probability_sum")
    if not count or not isinstance(total, int | float) or isinstance(total, bool) or not 0 <= total <= count:
        return None
    units = round(total * PROBABILITY_UNIT)
    if abs(total * PROBABILITY_UNIT - units) > _EXACT:
        return None
    # JSON may contain half of a surrogate pair, which cannot be written into a status.
    return SpeciesCount(name.encode(errors="replace").decode(), count, units)
