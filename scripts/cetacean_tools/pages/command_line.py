"""Print docs/command-line.md: the help text of every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from cetacean_cli.program import program

WIDTH: Final = 100
HEAD: Final = """\
# Command line

Written by `make command-line` from the help texts; do not edit.

`cetacean` is also the kubectl plugin `kubectl cetacean`: the same program under two names. `pip install
'.[cli]'` in a checkout installs both; `python -m cetacean_cli` is the same.

The commands under `registry` and `gate` work on a file, `models/registry.json` by default. The others work on
a CetaceanModel in a cluster and find it as kubectl does: `--kubeconfig`, `--context` and `--namespace`, else
`$KUBECONFIG` and the context's namespace.

What changes something shows the change first and asks. `--yes` does not ask, for scripts. `--dry-run` changes
nothing; in a cluster the API server checks the change. With `-o json` standard output holds one JSON document
and nothing else. A change that someone else made after it was shown is never overwritten.

What the commands decide is decided by the operator's own rules: `promote` foresees what the gate will say and
does not try what it would refuse; `gate check` is the rule of CI. Where Argo CD, Flux or Helm write the
resource, a warning says that they will put the field back.

`registry rollback` goes to the entry that stands before the active one and is not deprecated, as models are
appended and the file keeps no history; `--to` names another. `rollback` goes to the model that the cluster's
own history names before the active one.

Errors are one line on standard error; wrong usage is explained.

| exit code | means |
|---|---|
| 0 | done, or fine |
| 1 | refused by the gate, the API server or you; or what was asked is not so |
| 2 | wrong usage, or a file, a model or a resource that is not there or is not what it should be |
| 3 | the cluster cannot be reached, or does not let you in |
"""


def document() -> str:
    """The file's content."""
    sections = "".join(f"\n## {title}\n\n```text\n{text}\n```\n" for title, text in _pages(program, ("cetacean",)))
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
