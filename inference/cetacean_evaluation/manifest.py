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

COLUMNS: Final = ("relpath", "label", "individual_id", "species", "source", "license", "split")
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

    Args:
        path: the manifest.
        split: its name; every row if None.

    Raises:
        EvaluationError: the manifest cannot be read, has no such split, or names a picture that is not there.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise EvaluationError(
                    f"{path}: expected the columns {', '.join(COLUMNS)}, missing: {', '.join(missing)}"
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
    pictures = tuple(
        _picture(path, line, row) for line, row in rows if split is None or (row["split"] or "").strip() == split
    )
    if not pictures:
        there = ", ".join(sorted({row["split"] or "" for _, row in rows})) or "no rows"
        raise EvaluationError(f"{path}: expected pictures of the split {split or 'any'}, got: {there}")
    return pictures


def write_manifest(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write rows with the manifest's columns."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _picture(manifest: Path, line: int, row: dict[str, str | None]) -> Picture:
    relpath, label = (row["relpath"] or "").strip(), (row["label"] or "").strip()
    if label not in {CETACEAN, NON_CETACEAN}:
        raise EvaluationError(f"{manifest}:{line}: label: expected {CETACEAN} or {NON_CETACEAN}, got {label!r}")
    path = manifest.parent / relpath
    if not relpath or not path.is_file():
        raise EvaluationError(f"{manifest}:{line}: relpath: expected a picture, got {relpath!r}, which is no file")
    return Picture(
        path,
        label == CETACEAN,
        individual_id=(row["individual_id"] or "").strip() or None,
        species=(row["species"] or "").strip() or None,
    )
