"""Markdown for the pages that are written from code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template


def head(name: str, **variables: object) -> str:
    """Return the text of `heads/<name>.md`, with values in the places of its variables."""
    text = Path(__file__).with_name("heads").joinpath(f"{name}.md").read_text(encoding="utf-8")
    return Template(text).safe_substitute(variables)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, with its last newline; a `|` in a cell is escaped."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n" for cells in lines)


def number(value: float) -> str:
    """Return a number without trailing zeros."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def code(text: object) -> str:
    """Return text as code; an empty text stays empty."""
    return f"`{text}`" if str(text) else ""
