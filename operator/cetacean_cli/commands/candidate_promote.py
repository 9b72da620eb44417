"""`candidate promote`: let the candidate serve before its stages are over."""

from __future__ import annotations

import click

from cetacean_cli.candidate_decision import decide, why_option
from cetacean_cli.cluster import Cluster
from cetacean_cli.options import ChangeFlags, change_options, cluster_options, name_argument, wait_options


@click.command()
@name_argument
@why_option
@wait_options
@change_options
@cluster_options
def promote(*, name: str, why: str | None, wait: float | None, flags: ChangeFlags, cluster: Cluster) -> None:
    """Promote the candidate of the CetaceanModel NAME now, whatever its stages have shown.

    A candidate that was removed may be promoted too. The gate and the approvals are asked for all the same. The history
    keeps who has decided, and why.
    """
    decide("Promote", name, why=why, wait=wait, flags=flags, cluster=cluster)
