"""Print docs/command-line.md: the help text of every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from cetacean_cli.main import cli

WIDTH: Final = 100
HEAD: Final = """\
# Command line

Written by `make command-line` from the help texts; do not edit.

`cetacean` is also the kubectl plugin `kubectl cetacean`: the same program under two names. `pip install
'.[cli]'` in a checkout installs both; `python -m cetacean_cli` is the same.

The commands under `registry` and `gate` work on a file, `models/registry.json` by default. The others work on a
CetaceanModel in a cluster and find it as kubectl does: by `--kubeconfig`, `--context` and `--namespace`, else by
`$KUBECONFIG` and the context's namespace.

A command that changes something shows the change first and asks for confirmation. `--yes` skips the question, for
scripts. `--dry-run` changes nothing; in a cluster the API server checks the change. With `-o json` standard output
holds one JSON document and nothing else. A change that someone else made after it was shown is never overwritten.

The commands use the operator's own rules: `promote` shows the operator's decision first, and changes nothing if the
gate would refuse the model; `gate check` is the rule of CI. If Argo CD, Flux or Helm write the resource, a warning
says that they will overwrite the field.

`registry rollback` goes to the last entry before the active one that is not deprecated, as new models are appended
and the file keeps no history; `--to` names another. `rollback` goes to the model that the cluster's own history has
before the active one.

An error is one line on standard error; after wrong usage the usage is printed too.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | refused by the gate, by the API server or by you, or a check failed |
| 2 | wrong usage, or a file, a model or a resource that is missing or invalid |
| 3 | the cluster cannot be reached, or does not accept your credentials |
"""


def document() -> str:
    """The file's content."""
    sections = "".join(f"\n## {title}\n\n```text\n{text}\n```\n" for title, text in _pages(cli, ("cetacean",)))
    return HEAD + sections


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
