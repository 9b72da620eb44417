"""Output: tables for people, JSON for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cetacean_registry.messages import output_line, printable

_WIDTH: Final = 160
"""Characters of a line if standard output is no terminal."""
_STYLES: Final = {"True": "green", "False": "red", "Unknown": "yellow"}


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one line to standard output or standard error."""
    click.echo(output_line(line), err=err)


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
    if not isinstance(value, Text):
        return Text(format_value(value))
    shown = value.copy()
    shown.plain = printable(value.plain)  # of the same length, so that the styles stay at their places
    return shown


def format_value(value: object) -> str:
    """Return a value as people read it, on one line; None and the empty text are `-`."""
    if value is None or value == "":
        return "-"
    return printable(str(value))


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
    """Print JSON to standard output; characters that a terminal would not show as themselves are escaped."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    click.echo("".join(one if one.isprintable() or one == "\n" else _escaped(one) for one in text))


def _escaped(character: str) -> str:
    """Return a character as JSON's escape sequence, which json.dumps does not write for U+007F."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index : index + 2].hex()}" for index in range(0, len(units), 2))


def print_yaml(data: Any) -> None:
    """Print YAML to standard output; if a terminal would not show it as it is, with every special letter escaped."""
    text = _yaml(data, allow_unicode=True)
    is_shown = text.replace("\n", "").isprintable()
    click.echo(text if is_shown else _yaml(data, allow_unicode=False), nl=False)


def _yaml(data: Any, *, allow_unicode: bool) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=allow_unicode, width=120))
