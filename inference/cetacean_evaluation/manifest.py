"""The manifest of a split: its pictures and their labels.

Columns: `relpath,label,individual_id,species,source,license,split`; paths are relative to the manifest's folder.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cetacean_evaluation.errors import EvaluationError
from cetacean_registry.errors import RegistryError
from cetacean_registry.outcomes import MAX_PICTURES
from cetacean_registry.regular_files import resolve_path

COLUMNS: Final = ("relpath", "label", "individual_id", "species", "source", "license", "split")
LONGEST: Final = {"relpath": 1024, "individual_id": 253, "species": 64}
"""Characters of the fields that snapshots and outcomes hold."""
CETACEAN: Final = "cetacean"
NON_CETACEAN: Final = "non_cetacean"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a split and its labels."""

    path: Path
    cetacean: bool
    individual_id: str | None = None
    species: str | None = None


def read_manifest(path: Path, *, split: str | None = None) -> tuple[Picture, ...]:
    """Read the pictures of a split, in the manifest's order.

    Every row is checked, also those of other splits: a row that is read wrongly would be left out of the figures.

    Args:
        path: the manifest.
        split: its name; every row if None.

    Raises:
        EvaluationError: the manifest cannot be read, has no such split, has a row without one, has a picture twice, or
            names a picture that is not there.
    """
    rows = _read_rows(path)
    if split is not None:
        for line, row in rows:
            if not row["split"]:
                raise EvaluationError(f"{path}:{line}: split: expected a name, got ''")
    _forbid_duplicates(path, rows)
    if len(rows) > MAX_PICTURES:
        raise EvaluationError(f"{path}: expected at most {MAX_PICTURES} pictures, got {len(rows)}")
    pictures = tuple(_picture(path, line, row) for line, row in rows if split is None or row["split"] == split)
    if not pictures:
        there = ", ".join(sorted({row["split"] for _, row in rows})) or "no rows"
        raise EvaluationError(f"{path}: expected pictures of the split {split or 'any'}, got: {there}")
    return pictures


def _read_rows(path: Path) -> Sequence[tuple[int, dict[str, str]]]:
    """Return each row with its line: the fields by column, without spaces around them.

    Raises:
        EvaluationError: it cannot be read, or a row has another number of fields or more than one line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            # strict: a quote that is not closed is an error, and not the end of all rows.
            reader = csv.reader(stream, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            if missing := [name for name in COLUMNS if columns.count(name) != 1]:
                raise EvaluationError(
                    f"{path}: expected each of the columns {', '.join(COLUMNS)} once, missing or repeated: "
                    f"{', '.join(missing)}"
                )
            rows = []
            for fields in reader:
                line = reader.line_num
                # A quote at the start of one field and another one some lines below make one field of all between.
                if any("\n" in field or "\r" in field for field in fields):
                    raise EvaluationError(
                        f"{path}:{line}: expected one line for each row, got a field of several lines"
                    )
                if fields and len(fields) != len(columns):
                    raise EvaluationError(f"{path}:{line}: expected {len(columns)} fields, got {len(fields)}")
                if fields:
                    rows.append((line, dict(zip(columns, map(str.strip, fields), strict=True))))
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
    return rows


def _forbid_duplicates(path: Path, rows: Sequence[tuple[int, dict[str, str]]]) -> None:
    """Raise if a picture is in the manifest twice: it would count twice, or be in two splits."""
    lines: dict[Path, int] = {}
    for line, row in rows:
        if not row["relpath"]:
            continue
        try:
            picture = resolve_path(path.parent / row["relpath"])
        except RegistryError:  # no picture either, which is named with its line later
            continue
        if (first := lines.setdefault(picture, line)) != line:
            raise EvaluationError(
                f"{path}:{line}: relpath: expected each picture once, got {row['relpath']!r}, as in line {first}"
            )


def write_manifest(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write rows with the manifest's columns."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _picture(manifest: Path, line: int, row: dict[str, str]) -> Picture:
    relpath, label = row["relpath"], row["label"]
    if label not in {CETACEAN, NON_CETACEAN}:
        raise EvaluationError(f"{manifest}:{line}: label: expected {CETACEAN} or {NON_CETACEAN}, got {label!r}")
    for column, longest in LONGEST.items():
        if len(row[column]) > longest:
            raise EvaluationError(
                f"{manifest}:{line}: {column}: expected at most {longest} characters, got {len(row[column])}"
            )
    path = manifest.parent / relpath
    if not relpath or not _is_file(path):
        raise EvaluationError(f"{manifest}:{line}: relpath: expected a picture, got {relpath!r}, which is no file")
    return Picture(path, label == CETACEAN, individual_id=row["individual_id"] or None, species=row["species"] or None)
