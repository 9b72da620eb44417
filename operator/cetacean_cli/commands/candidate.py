"""`candidate`: the group of commands about a model that runs beside the one that serves."""

from __future__ import annotations

import click

from cetacean_cli.commands.candidate_disagreements import disagreements


@click.group()
def candidate() -> None:
    """Show how a candidate does: a model that answers the same pictures as the one that serves."""


for command in (disagreements,):
    candidate.add_command(command)
