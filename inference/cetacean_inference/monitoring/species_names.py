"""The names that species are counted under: bounded in number and length, whatever a model's species map holds."""

from __future__ import annotations

from typing import Final

from cetacean_registry.figures import LONGEST_SPECIES_NAME, MAX_SPECIES

OTHER: Final = "other"
_MOST_BYTES: Final = 2 * LONGEST_SPECIES_NAME
"""Enough for the longest name in Latin, Greek or Cyrillic letters; answers have a bound in bytes."""


def short_species(species: str) -> str:
    """Return the name that all counters have for a species, which is that of the registry's figures."""
    # A client's feedback may contain half of a surrogate pair, which no answer can be written with.
    name = species[:LONGEST_SPECIES_NAME].encode(errors="replace")
    return name[:_MOST_BYTES].decode(errors="ignore")


class SpeciesNames:
    """Names for counters: the first `MAX_SPECIES` species keep theirs, all others share `OTHER`."""

    def __init__(self) -> None:
        """Start without any species."""
        self._known: set[str] = set()

    def bounded(self, species: str) -> str:
        """Return the name to count a species under."""
        name = short_species(species)
        if name in self._known or len(self._known) < MAX_SPECIES:
            self._known.add(name)
            return name
        return OTHER
