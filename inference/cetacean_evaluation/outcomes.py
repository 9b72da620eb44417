"""From scores to the outcomes beside a snapshot: what the identification named in each picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cetacean_evaluation.figures import DIGITS, Scored
from cetacean_registry.digests import file_sha256
from cetacean_registry.outcomes import MAX_NAME, Outcome


def outcomes_of(scored: Sequence[Scored], folder: Path) -> tuple[Outcome, ...]:
    """Return the outcome of each cetacean picture whose individual or species is known, in their order.

    Args:
        scored: every picture of the split.
        folder: the manifest's, which the pictures' paths are relative to.

    Raises:
        OSError: a picture cannot be read.
    """
    return tuple(
        Outcome(
            picture=_relative(one.picture.path, folder),
            sha256=file_sha256(one.picture.path),
            individual=one.picture.individual_id,
            species=one.picture.species,
            named_individual=one.best.class_animal[:MAX_NAME],
            named_species=one.best.id_animal[:MAX_NAME],
            probability=round(one.best.probability, DIGITS),
            top5=one.names(5),
        )
        for one in scored
        if one.picture.cetacean and (one.picture.individual_id or one.picture.species)
    )


def _relative(picture: Path, folder: Path) -> str:
    return (picture.relative_to(folder) if picture.is_relative_to(folder) else picture).as_posix()
