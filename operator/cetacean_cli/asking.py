"""What a command will change, shown before it is changed, and the question whether it shall be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from cetacean_cli.options import ChangeOptions
from cetacean_cli.showing import print_json, shown


@dataclass(frozen=True, slots=True)
class Change:
    """One field."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """For people."""
        return f"{self.path}: {shown(self.before)} → {shown(self.after)}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything a person needs to know before saying yes."""

    subject: str
    """E.g. `cetaceanmodel sea/whales`."""
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    """Further keys of the JSON."""

    def lines(self) -> list[str]:
        """For people."""
        made = [f"{self.subject}:"] + [f"  {change}" for change in self.changes]
        return made + [f"  {note}" for note in self.notes]

    def as_json(self) -> dict[str, Any]:
        """For programs, before it is known how it ended."""
        changes = [{"path": item.path, "from": item.before, "to": item.after} for item in self.changes]
        return {
            "subject": self.subject,
            "changes": changes,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            **self.more,
        }


def carry_out(
    proposal: Proposal,
    make: Callable[[], dict[str, Any]],
    *,
    how: ChangeOptions,
    done: str = "done",
) -> dict[str, Any]:
    """Show, ask, change, and say how it ended.

    Args:
        proposal: what is to change; without changes nothing is asked or made.
        make: makes the change, or for a dry run checks it; returns further keys of the JSON.
        how: what was asked for.
        done: the last line for people.

    Returns:
        What `make` returned; empty where there was nothing to change.

    Raises:
        click.Abort: the answer is no.
    """
    table = how.output == "table"
    asks = bool(proposal.changes) and not how.yes and not how.dry_run
    if table or asks:
        click.echo("\n".join(proposal.lines()), err=not table)
    for warning in proposal.warnings:
        click.echo(f"warning: {warning}", err=True)
    if asks:
        click.confirm("Shall it be changed?", abort=True, err=not table)
    result = make() if proposal.changes else {}
    if not table:
        print_json(
            {
                **proposal.as_json(),
                **result,
                "changed": bool(proposal.changes) and not how.dry_run,
                "dryRun": how.dry_run,
            }
        )
    elif not proposal.changes:
        click.echo("nothing to change")
    else:
        click.echo("dry run: nothing was changed" if how.dry_run else done)
    return result
