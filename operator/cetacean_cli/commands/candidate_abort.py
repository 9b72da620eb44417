"""`candidate abort`: remove the candidate, so that what serves goes on."""

from __future__ import annotations

import click

from cetacean_cli.candidate_decision import decide, why_option
from cetacean_cli.cluster import Cluster
from cetacean_cli.options import ChangeFlags, change_options, cluster_options, name_argument


@click.command()
@name_argument
@why_option
@change_options
@cluster_options
def abort(*, name: str, why: str | None, flags: ChangeFlags, cluster: Cluster) -> None:
    """Remove the candidate of the CetaceanModel NAME; the model that serves goes on.

    It is not tried again until its entry in the registry changes, or until `candidate retry` or `candidate promote`.
    The status keeps who has decided, and why.
    """
    decide("Abort", name, why=why, wait=None, flags=flags, cluster=cluster)
