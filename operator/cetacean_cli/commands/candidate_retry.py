"""`candidate retry`: let a candidate that was held or removed try again."""

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
def retry(*, name: str, why: str | None, flags: ChangeFlags, cluster: Cluster) -> None:
    """Let the candidate of the CetaceanModel NAME try again after it was held or removed.

    Use it once the cause is repaired, if that was no fault of the model: a node without room, an image that could not
    be pulled. One that is held begins its stage again, one that was removed begins all of them. Without stages it is
    rolled out again. One decision is one try.
    """
    decide("Retry", name, why=why, wait=None, flags=flags, cluster=cluster)
