"""The known individuals: each has one species, in the order of the head's rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fuzzing import bounded

from cetacean_inference.errors import ClassesMismatch
from cetacean_inference.models.classes import read_classes, read_species
from cetacean_inference.weights.blob import Blob

CLASSES = Blob("https://weights.test/encoder_classes.npy", "ab" * 32, Path("a"))
SPECIES = Blob("https://weights.test/species_map.csv", "cd" * 32, Path("b"))


def npy(value: Any, **options: Any) -> io.BytesIO:
    stream = io.BytesIO()
    np.save(stream, value, **options)
    stream.seek(0)
    return stream


def announcing(dtype: str, shape: str, *, magic: bytes = b"\x93NUMPY\x01\x00") -> io.BytesIO:
    """Return a .npy file with this header and eight bytes of data."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return io.BytesIO(magic + len(header).to_bytes(2, "little") + header + b"\0" * 8)


@pytest.mark.parametrize(
    ("stored", "ids"),
    [
        (np.array(["b", "a", "c"]), ("b", "a")),
        (np.array([b"b", b"a", b"c"]), ("b", "a")),
        (np.array([7, 5, 6]), ("7", "5")),
    ],
    ids=["text", "bytes", "numbers"],
)
def test_the_first_classes_are_read_in_the_order_of_the_rows(stored: Any, ids: tuple[str, ...]) -> None:
    assert read_classes(npy(stored), CLASSES, known=2) == ids


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (npy(np.array(["a"])), "at least 2 classes, got 1"),
        (npy(np.array(["a", "a", "b"])), "each id once, got 'a' several times"),
        (npy(np.array([["a", "b"], ["c", "d"]])), "one-dimensional array of strings, got <U1"),
        (npy(np.array([0.5, 1.5])), "array of strings, got float64"),
        (
            npy(np.array(["a", None], dtype=object), allow_pickle=True),
            r"got an array of Python objects, .*save it again as classes\.astype\(str\)$",
        ),
        (io.BytesIO(b"words"), "a .npy array of strings, got a file that begins with the bytes 77 6f 72 64 73$"),
        (io.BytesIO(b""), "a .npy array of strings, got an empty file"),
        (io.BytesIO(b"version https://git-lfs.github.com/spec/v1\n"), "got a git-lfs pointer"),
        (io.BytesIO(b"<!DOCTYPE html><html>"), "got an HTML page"),
        (npy(np.array([b"a", b"\xff"])), "in UTF-8, got: .*0xff"),
        (npy(np.array(["a", "\ud800"])), "in UTF-8, got: .*surrogates not allowed"),
        (npy(np.array([0x110000, 0x61], dtype="<u4").view("<U1")), "in UTF-8, got a character beyond U.10FFFF"),
        (announcing("'<U4'", "(100000000000000,)"), "1600000000000000 bytes for 100000000000000 classes, got 8"),
        (announcing("'<U4'", "(-1,)"), "got"),
        (announcing("'<U4'", "('a',)"), "got a damaged .npy header"),
        (announcing("'<U0'", "(5,)"), "one-dimensional array of strings, got <U0"),
        (announcing("[('a', '<U4')]", "(2,)"), "one-dimensional array of strings, got"),
        (announcing("'O'", "(2,)"), "got an array of Python objects"),
        (announcing("'nonsense'", "(2,)"), "got a damaged .npy header"),
        (announcing("'<U4'", "(((((2,"), "got a damaged .npy header"),
        (announcing("'<U4'", "(2,)", magic=b"\x93NUMPY\x09\x00"), "got a damaged .npy header"),
        (io.BytesIO(b"\x93NUMPY\x01"), "got a damaged .npy header"),
    ],
)
def test_an_invalid_list_of_classes_is_an_error(stream: io.BytesIO, message: str) -> None:
    with pytest.raises(ClassesMismatch, match=rf"^https://weights\.test/encoder_classes\.npy: expected .*{message}"):
        read_classes(stream, CLASSES, known=2)


def species(text: str | bytes) -> tuple[str, ...]:
    content = text.encode() if isinstance(text, str) else text
    return read_species(io.BytesIO(content), SPECIES, classes=("b", "a"))


@pytest.mark.parametrize(
    "text",
    [
        "individual_id,species\na,orca\nb,beluga\nz,fin_whale\n",
        "\N{BYTE ORDER MARK}individual_id,species\r\na,orca\r\nb,beluga\r\n",
        'species,individual_id,note\norca,a,"two\nlines"\nbeluga,b,\norca,a,again\n',
        "individual_id,species\n\na,orca\nz\n,orca\nb,beluga,more\n",
        "individual_id,species,individual_id\nz,orca,a\nz,beluga,b\n",
    ],
    ids=["plain", "of a spreadsheet", "other columns", "rows of other lengths", "a column twice"],
)
def test_the_species_are_read_in_the_order_of_the_classes(text: str) -> None:
    assert species(text) == ("beluga", "orca")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("individual_id,species\na,orca\n", "a species for each class, got none for 1: b"),
        ("individual_id,species\na,orca\nb,\n", "got none for 1: b"),
        ("individual_id,species\na,orca\na,beluga\nb,orca\n", "one species for a, got orca, beluga"),
        ("id,species\na,orca\n", r"columns individual_id, species, got \['id', 'species'\]"),
        (b"individual_id,species\na,\xff\n", "CSV in UTF-8"),
        ("individual_id,species\na,orca\nb\n", "got none for 1: b$"),
        ("x" * 196 + "\n", r"got \['x{196}'\]$"),
        ("x" * 197 + "\n", r"got \['x{197}'…$"),
        ("", "columns individual_id, species, got None"),
        ("\nindividual_id,species\na,orca\nb,orca\n", r"columns individual_id, species, got \[\]"),
    ],
    ids=[
        "missing",
        "empty",
        "two",
        "columns",
        "not UTF-8",
        "short",
        "long",
        "longer",
        "nothing",
        "an empty line first",
    ],
)
def test_an_invalid_map_of_species_is_an_error(text: str | bytes, message: str) -> None:
    with pytest.raises(ClassesMismatch, match=rf"^https://weights\.test/species_map\.csv: expected .*{message}"):
        species(text)


def test_the_first_three_classes_without_a_species_are_named() -> None:
    classes = ("d", "a", "b", "c")
    with pytest.raises(ClassesMismatch, match=r"got none for 4: d, a, b$"):
        read_species(io.BytesIO(b"individual_id,species\n"), SPECIES, classes=classes)


def test_a_value_in_quotes_keeps_its_line_ends() -> None:
    assert species('individual_id,species\r\na,"or\rca"\r\nb,beluga\r\n') == ("beluga", "or\rca")


MANY = 20_000


def test_a_map_of_many_columns_and_short_rows_is_read_in_time_that_its_size_bounds() -> None:
    head, rows = "individual_id,species" + ",x" * MANY, "1\n" * MANY
    with bounded(cpu_seconds=2):
        assert species(f"{head}\na,orca\nb,beluga\n{rows}") == ("beluga", "orca")


def test_an_id_that_occurs_twice_among_many_is_found_in_time_that_their_number_bounds() -> None:
    ids = np.array([*map(str, range(MANY)), str(MANY - 1)])
    with bounded(cpu_seconds=2), pytest.raises(ClassesMismatch, match="'19999' several times"):
        read_classes(npy(ids), CLASSES, known=len(ids))
