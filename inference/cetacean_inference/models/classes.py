"""Reads the known individuals and their species: `encoder_classes.npy` and `species_map.csv`."""

from __future__ import annotations

import csv
import io
from typing import IO

import numpy as np

from cetacean_inference.errors import ClassesMismatch
from cetacean_inference.weights.blob import Blob

CONVERT = (
    "convert it once with: import numpy as np; "
    "np.save('encoder_classes.npy', np.load('encoder_classes.npy', allow_pickle=True).astype(str))"
)


def read_classes(stream: IO[bytes], blob: Blob, *, known: int) -> tuple[str, ...]:
    """Read the ids of the first `known` classes, in the order of the head's rows.

    Raises:
        ClassesMismatch: there are fewer, an id occurs twice, or the file contains Python objects.
    """
    try:
        array = np.load(stream, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        hint = f" - {CONVERT}" if "allow_pickle" in str(error) else ""
        raise ClassesMismatch(f"{blob.url}: expected a .npy array of strings, got: {error}{hint}") from error
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "UiuS":
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ClassesMismatch(f"{blob.url}: expected a one-dimensional array of strings, got {got}")
    if len(array) < known:
        raise ClassesMismatch(f"{blob.url}: expected at least {known} classes, got {len(array)}")
    ids = tuple(v.decode() if isinstance(v, bytes) else str(v) for v in array[:known].tolist())
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ClassesMismatch(f"{blob.url}: expected each id once, got {twice!r} several times")
    return ids


def read_species(stream: IO[bytes], blob: Blob, *, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Read the species of each of `classes`, in their order.

    Raises:
        ClassesMismatch: a class has no species, or two.
    """
    try:
        text = io.StringIO(stream.read().decode("utf-8-sig"), newline="")
        species = _species_by_individual(csv.DictReader(text), blob)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ClassesMismatch(f"{blob.url}: expected CSV in UTF-8, got: {error}") from error
    if missing := [name for name in classes if name not in species]:
        named = ", ".join(missing[:3])
        raise ClassesMismatch(f"{blob.url}: expected a species for each class, got none for {len(missing)}: {named}")
    return tuple(species[name] for name in classes)


def _species_by_individual(rows: csv.DictReader[str], blob: Blob) -> dict[str, str]:
    if not {"individual_id", "species"} <= set(rows.fieldnames or ()):
        raise ClassesMismatch(f"{blob.url}: expected columns individual_id, species, got {rows.fieldnames}")
    species: dict[str, str] = {}
    for row in rows:
        individual, name = row["individual_id"], row["species"]
        if individual and name and species.setdefault(individual, name) != name:
            raise ClassesMismatch(
                f"{blob.url}: expected one species for {individual}, got {species[individual]}, {name}"
            )
    return species
