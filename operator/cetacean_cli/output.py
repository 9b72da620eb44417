"""Output: tables for people, JSON for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_WIDTH: Final = 160
"""Characters of a line if standard output is no terminal."""
_STYLES: Final = {"True": "green", "False": "red", "Unknown": "yellow"}


def console(*, err: bool = False) -> Console:
    """Return a console on standard output or standard error."""
    return Console(stderr=err, highlight=False)


def show(content: RenderableType) -> None:
    """Print to standard output; if that is no terminal, without colours and without spaces at the ends of lines."""
    out = console()
    if out.is_terminal:
        out.print(content)
        return
    plain = Console(file=io.StringIO(), highlight=False, width=_WIDTH, color_system=None)
    with plain.capture() as captured:
        plain.print(content)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table without borders. Cells are never read as rich's markup."""
    result = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for title in head:
        result.add_column(Text(title), overflow="fold")
    for row in rows:
        result.add_row(*map(_cell, row))
    return result


def key_value_table(rows: Iterable[tuple[str, object]]) -> Table:
    """Return a table of two columns without a head."""
    result = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    result.add_column(style="bold", no_wrap=True)
    result.add_column(overflow="fold")
    for name, value in rows:
        result.add_row(Text(name), _cell(value))
    return result


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(format_value(value))


def format_value(value: object) -> str:
    """Return a value as people read it; None and the empty text are `-`."""
    if value is None or value == "":
        return "-"
    return str(value)


def styled_status(status: str, *, good: str = "True") -> Text:
    """Return a condition's status in its colour."""
    colour = _STYLES["True"] if status == good else _STYLES["False"] if status != "Unknown" else _STYLES["Unknown"]
    return Text(status, style=colour)


def age(at: str | None, now: datetime | None = None) -> str:
    """Return the time since `at` as kubectl prints it; `-` if `at` is no ISO 8601 time."""
    try:
        then = datetime.fromisoformat(at or "")
    except ValueError:
        return "-"
    seconds = int(((now or datetime.now(UTC)) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """Print JSON to standard output."""
    click.echo(json.dumps(data, indent=indent, ensure_ascii=False))
