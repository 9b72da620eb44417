"""Markdown for the pages that are written from code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
