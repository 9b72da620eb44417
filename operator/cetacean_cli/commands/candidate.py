"""`candidate`: the group of the commands about a candidate that runs stages."""

from __future__ import annotations

import click

from cetacean_cli.commands.candidate_abort import abort
from cetacean_cli.commands.candidate_disagreements import disagreements
from cetacean_cli.commands.candidate_promote import promote
from cetacean_cli.commands.candidate_retry import retry
from cetacean_cli.commands.candidate_show import show


@click.group()
def candidate() -> None:
    """Show a candidate that runs its stages beside the model that serves, and decide about it."""


for command in (abort, disagreements, promote, retry, show):
    candidate.add_command(command)
