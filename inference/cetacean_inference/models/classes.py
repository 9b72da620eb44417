"""Reads the known individuals and their species: `encoder_classes.npy` and `species_map.csv`."""

from __future__ import annotations

import csv
import io
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from cetacean_inference.errors import ClassesMismatch
from cetacean_inference.messages import one_line
from cetacean_inference.weights.blob import Blob
from cetacean_inference.weights.file_kinds import HEAD_BYTES, NPY_SIGNATURE, describe_content

EXPECTED: Final = "expected a .npy array of strings"
LONGEST_SHOWN: Final = 200
"""Characters of a wrong header that a message shows."""
OBJECTS: Final = "an array of Python objects, which only a pickle can hold - save it again as classes.astype(str)"


def read_classes(stream: IO[bytes], blob: Blob, *, known: int) -> tuple[str, ...]:
    """Read the ids of the first `known` classes, in the order of the head's rows.

    Raises:
        ClassesMismatch: there are fewer, an id occurs twice, the file contains Python objects, is damaged, or is of
            another kind, which the message names.
    """
    array = _read_array(stream, blob)
    if len(array) < known:
        raise ClassesMismatch(f"{blob.url}: expected at least {known} classes, got {len(array)}")
    try:
        ids = tuple(_id(value) for value in array[:known].tolist())
    except ValueError as error:  # bytes that are no UTF-8, lone surrogates, no code points
        raise ClassesMismatch(f"{blob.url}: {EXPECTED} in UTF-8, got: {one_line(error)}") from error
    if len(set(ids)) != len(ids):
        twice = next(name for name, number in Counter(ids).items() if number > 1)
        raise ClassesMismatch(f"{blob.url}: expected each id once, got {twice!r} several times")
    return ids


def _id(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    text.encode()
    return text


def _read_array(stream: IO[bytes], blob: Blob) -> npt.NDArray[Any]:
    """Read a one-dimensional array; its header is checked against the file's size before memory is allocated."""
    head = stream.read(HEAD_BYTES)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if not head.startswith(NPY_SIGNATURE):
        raise ClassesMismatch(f"{blob.url}: {EXPECTED}, got {describe_content(head)}")
    try:
        with warnings.catch_warnings(action="ignore"):  # numpy warns of headers that Python 2 wrote
            shape, dtype = _read_header(stream)
    except Exception as error:
        raise ClassesMismatch(f"{blob.url}: {EXPECTED}, got a damaged .npy header: {one_line(error)}") from error
    if dtype.hasobject:
        raise ClassesMismatch(f"{blob.url}: {EXPECTED}, got {OBJECTS}")
    if len(shape) != 1 or dtype.kind not in "UiuS" or not dtype.itemsize:
        raise ClassesMismatch(f"{blob.url}: expected a one-dimensional array of strings, got {dtype} {shape}")
    announced, remaining = shape[0] * dtype.itemsize, size - stream.seek(0, os.SEEK_CUR)
    if remaining != announced:
        raise ClassesMismatch(f"{blob.url}: expected {announced} bytes for {shape[0]} classes, got {remaining}")
    content = stream.read()
    if dtype.kind == "U":
        points = np.frombuffer(content, dtype=np.dtype("u4").newbyteorder(dtype.byteorder))
        if points.size and points.max() > sys.maxunicode:  # numpy raises a SystemError for them
            raise ClassesMismatch(f"{blob.url}: {EXPECTED} in UTF-8, got a character beyond U+{sys.maxunicode:X}")
    return np.frombuffer(content, dtype=dtype)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def read_species(stream: IO[bytes], blob: Blob, *, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Read the species of each of `classes`, in their order.

    Raises:
        ClassesMismatch: a class has no species, or two.
    """
    try:
        text = io.StringIO(stream.read().decode("utf-8-sig"), newline="")
        species = _species_by_individual(csv.reader(text), blob)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ClassesMismatch(f"{blob.url}: expected CSV in UTF-8, got: {one_line(error)}") from error
    if missing := [name for name in classes if name not in species]:
        named = ", ".join(missing[:3])
        raise ClassesMismatch(f"{blob.url}: expected a species for each class, got none for {len(missing)}: {named}")
    return tuple(species[name] for name in classes)


def _species_by_individual(rows: Iterator[list[str]], blob: Blob) -> dict[str, str]:
    columns = next(rows, None)
    places = {name: place for place, name in enumerate(columns or ())}
    if not {"individual_id", "species"} <= places.keys():
        raise ClassesMismatch(f"{blob.url}: expected columns individual_id, species, got {_shown(columns)}")
    wanted = places["individual_id"], places["species"]
    species: dict[str, str] = {}
    for row in rows:
        # No other column is read: csv.DictReader would complete each short row with all columns of a long head.
        individual, name = (row[place] if place < len(row) else "" for place in wanted)
        if individual and name and species.setdefault(individual, name) != name:
            raise ClassesMismatch(
                f"{blob.url}: expected one species for {individual}, got {species[individual]}, {name}"
            )
    return species


def _shown(columns: list[str] | None) -> str:
    text = repr(columns)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
