"""Print docs/command-line.md: the help text of every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from cetacean_cli.main import cli
from cetacean_tools.pages.markdown import head

WIDTH: Final = 100


def document() -> str:
    """The file's content."""
    sections = "".join(f"\n## {title}\n\n```text\n{text}\n```\n" for title, text in _pages(cli, ("cetacean",)))
    return head("command-line") + sections


def _pages(
    command: click.Command, path: tuple[str, ...], parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command, info_name=path[-1], parent=parent, terminal_width=WIDTH, **command.context_settings
    )
    yield " ".join(path), "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    if isinstance(command, click.Group):
        for name, sub in sorted(command.commands.items()):
            yield from _pages(sub, (*path, name), context)


if __name__ == "__main__":
    print(document(), end="")
