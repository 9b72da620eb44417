"""Printing: tables for people, JSON for programs."""

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
"""Where there is no terminal that has a width of its own."""
_STYLES: Final = {"True": "green", "False": "red", "Unknown": "yellow"}


def console(*, err: bool = False) -> Console:
    """A console on standard output or standard error."""
    return Console(stderr=err, highlight=False)


def show(what: RenderableType) -> None:
    """Print to standard output: as the terminal is, or where there is none, plain and without blanks at lines' ends."""
    out = console()
    if out.is_terminal:
        out.print(what)
        return
    plain = Console(file=io.StringIO(), highlight=False, width=_WIDTH, color_system=None)
    with plain.capture() as captured:
        plain.print(what)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table without lines; what is not known is `-`. Nothing in it is taken for markup."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for title in head:
        made.add_column(Text(title), overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    return made


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    """Names and what is known of them."""
    made = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(name), value if isinstance(value, Text) else Text(shown(value)))
    return made


def shown(value: object) -> str:
    """A value for people."""
    if value is None or value == "":
        return "-"
    return str(value)


def verdict(status: str, *, good: str = "True") -> Text:
    """A condition's status in its colour."""
    colour = _STYLES["True"] if status == good else _STYLES["False"] if status != "Unknown" else _STYLES["Unknown"]
    return Text(status, style=colour)


def age(at: str | None, now: datetime | None = None) -> str:
    """How long ago a time was, as kubectl shows it."""
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
