"""docs/command-line.md matches the program's help."""

from __future__ import annotations

from pathlib import Path

import click

from cetacean_cli.main import cli
from cetacean_tools.pages.command_line import document

DOCUMENT = Path(__file__).parents[3] / "docs" / "command-line.md"


def test_the_document_is_not_stale() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make command-line`"


def number_of_commands(command: click.Command) -> int:
    """Count a command and all below it."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return 1 + sum(map(number_of_commands, below))


def test_every_command_is_there() -> None:
    text = document()
    assert text.count("Usage: cetacean") == number_of_commands(cli)
    assert (
        "## cetacean emergency disable-gate\n\n```text\nUsage: cetacean emergency disable-gate [OPTIONS] NAME" in text
    )
