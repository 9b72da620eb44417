"""Write a benchmark's figures: as JSON, as a table in the documentation, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import pictures

from cetacean_tools.workspace import REPOSITORY


def publish_benchmark(name: str, found: Mapping[str, Any], table: str, *, between: tuple[str, str]) -> None:
    """Publish under a benchmark's name: in `benchmarks/results` and in `docs/benchmarks.md`.

    Raises:
        ValueError: the document has no place for the table.
    """
    publish(
        found,
        table,
        between=between,
        json_file=REPOSITORY / "benchmarks" / "results" / f"{name}.json",
        document=REPOSITORY / "docs" / "benchmarks.md",
    )


def publish(found: Mapping[str, Any], table: str, *, between: tuple[str, str], json_file: Path, document: Path) -> None:
    """Write the figures, put their table between two lines of the document, and draw them.

    Raises:
        ValueError: the document has no place for the table.
    """
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    begin, end = between
    before, begun, rest = document.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{document}: expected the lines {begin!r} and {end!r}")
    document.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")
    pictures.draw(json_file.stem, found, folder=document.parent / "images")
