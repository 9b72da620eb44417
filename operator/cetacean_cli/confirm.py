"""Show a change, ask for confirmation, apply the change, and report the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from cetacean_cli.options import ChangeFlags
from cetacean_cli.output import echo, format_value, print_json


@dataclass(frozen=True, slots=True)
class Change:
    """The old and the new value of one field."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """Return the change as people read it."""
        return f"{self.path}: {format_value(self.before)} → {format_value(self.after)}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything that a person needs to know before the confirmation."""

    subject: str
    """E.g. `cetaceanmodel sea/whales`."""
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    """Further keys of the JSON output."""

    def lines(self) -> list[str]:
        """Return the proposal as people read it."""
        return [f"{self.subject}:", *(f"  {item}" for item in (*self.changes, *self.notes))]

    def as_json(self) -> dict[str, Any]:
        """Return the proposal as programs read it, without the result."""
        changes = [{"path": item.path, "from": item.before, "to": item.after} for item in self.changes]
        return {
            "subject": self.subject,
            "changes": changes,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            **self.extra,
        }


def confirm_and_apply(
    proposal: Proposal,
    apply: Callable[[], dict[str, Any]],
    *,
    flags: ChangeFlags,
    done: str = "done",
) -> dict[str, Any]:
    """Show the proposal, ask, apply it, and print the result.

    Args:
        proposal: the change; if it has no changes, nothing is asked or applied.
        apply: applies the change, or checks it if `flags` ask for a dry run; returns further keys of the JSON output.
        flags: of the command.
        done: the last line for people.

    Returns:
        The keys that `apply` returned; empty if there was nothing to change.

    Raises:
        click.Abort: the answer is no.
    """
    table = flags.output == "table"
    asks = bool(proposal.changes) and not flags.yes and not flags.dry_run
    if table or asks:
        for line in proposal.lines():
            echo(line, err=not table)
    for warning in proposal.warnings:
        echo(f"warning: {warning}", err=True)
    if asks:
        click.confirm("Apply this change?", abort=True, err=not table)
    result = apply() if proposal.changes else {}
    if not table:
        print_json(
            {
                **proposal.as_json(),
                **result,
                "changed": bool(proposal.changes) and not flags.dry_run,
                "dryRun": flags.dry_run,
            }
        )
    elif not proposal.changes:
        echo("nothing to change")
    else:
        echo("dry run: nothing was changed" if flags.dry_run else done)
    return result
