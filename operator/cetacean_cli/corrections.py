"""Corrections: a CSV file with answers of the service and what their pictures really show."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cetacean_cli.errors import BadInputError
from cetacean_cli.named_files import read_named_file
from cetacean_registry.messages import one_line
from cetacean_registry.patterns import EXPECTATIONS, SHA256_PATTERN

_REQUIRED: Final = {
    "class_animal": "",
    "id_animal": "the species of the answer, or unknown",
    "model_version": "the version that answered",
    "true_id_animal": "the species",
}
"""Columns that must exist, and what each row must have there; class_animal may be empty."""
_COLUMNS: Final = (*_REQUIRED, "true_class_animal", "image_sha256")
_LONGEST: Final = {"model_version": 64}
_LONGEST_NAME: Final = 128
_VERSION: Final = re.compile(r"[0-9A-Za-z._+-]+")


@dataclass(frozen=True, slots=True)
class Correction:
    """One answer, and the truth."""

    line: int
    """In the file."""
    class_animal: str
    id_animal: str
    model_version: str
    image_sha256: str
    true_class_animal: str
    true_id_animal: str

    @property
    def species_correct(self) -> bool:
        """True if the answer names the right species."""
        return self.id_animal == self.true_id_animal

    @property
    def individual_correct(self) -> bool | None:
        """True if it names the right individual; None if that is not known."""
        return self.class_animal == self.true_class_animal if self.true_class_animal else None

    def body(self) -> dict[str, Any]:
        """Return the body of a request to /v1/feedback."""
        answer = {
            "class_animal": self.class_animal,
            "id_animal": self.id_animal,
            "model_version": self.model_version,
        }
        truth = {"class_animal": self.true_class_animal} if self.true_class_animal else {}
        digest = {"image_sha256": self.image_sha256} if self.image_sha256 else {}
        return {"answer": answer | digest, "truth": truth | {"id_animal": self.true_id_animal}}


def read_corrections(path: Path) -> list[Correction]:
    """Return the rows of a file; columns with other names are ignored.

    Raises:
        BadInputError: the file cannot be read or is too large, or a row is invalid; the message names the line.
    """
    return _read(path, csv.reader(io.StringIO(read_named_file(path), newline=""), strict=True))


def _read(path: Path, reader: Any) -> list[Correction]:
    try:
        head = [name.strip() for name in next(reader, [])]
        _check_head(path, head)
        found = [_row(path, reader.line_num, head, values) for values in reader if values]
    except csv.Error as error:
        raise BadInputError(f"{path}: line {reader.line_num}: expected CSV: {error}") from error
    if not found:
        raise BadInputError(f"{path}: expected at least one row after the header, got none")
    return found


def _check_head(path: Path, head: Sequence[str]) -> None:
    if not head:
        raise BadInputError(f"{path}: expected a header with the columns {', '.join(_REQUIRED)}, got nothing")
    if missing := [name for name in _REQUIRED if name not in head]:
        raise BadInputError(f"{path}: expected the columns {', '.join(missing)} too, got {one_line(', '.join(head))}")
    if twice := [name for name in _COLUMNS if head.count(name) > 1]:
        raise BadInputError(f"{path}: expected each column once, got {', '.join(twice)} more than once")


def _row(path: Path, line: int, head: Sequence[str], values: Sequence[str]) -> Correction:
    where = f"{path}: line {line}"
    if len(values) != len(head):
        raise BadInputError(f"{where}: expected {len(head)} values, got {len(values)}")
    row = {name: value.strip() for name, value in zip(head, values, strict=True)}
    given = {name: row.get(name, "") for name in _COLUMNS}
    if fault := _fault(given):
        raise BadInputError(f"{where}: {fault}")
    return Correction(line, **given)


def _fault(row: Mapping[str, str]) -> str | None:
    for name, meaning in _REQUIRED.items():
        if meaning and not row[name]:
            return f"{name}: expected {meaning}, got nothing"
    for name, value in row.items():
        longest = _LONGEST.get(name, _LONGEST_NAME)
        if len(value) > longest:
            return f"{name}: expected at most {longest} characters, got {len(value)}"
    if not _VERSION.fullmatch(row["model_version"]):
        return f"model_version: expected letters, digits and . _ + -, got {row['model_version']!r}"
    digest = row["image_sha256"]
    if digest and not re.fullmatch(SHA256_PATTERN, digest):
        return f"image_sha256: {EXPECTATIONS[SHA256_PATTERN]}, got {digest!r}"
    return None
