"""`status` and `history`."""

from __future__ import annotations

import contextlib

import click
from rich.live import Live

from cetacean_cli.cluster import Cluster
from cetacean_cli.options import Output, cluster_options, name_argument, output_option
from cetacean_cli.output import console, echo, print_json, show
from cetacean_cli.resource import CetaceanModel
from cetacean_cli.view import as_json, history_view, status_view


@click.command()
@name_argument
@click.option("-w", "--watch", is_flag=True, help="Show each change until Ctrl-C.")
@output_option
@cluster_options
def status(*, name: str, watch: bool, output: Output, cluster: Cluster) -> None:
    """Show the spec of the CetaceanModel NAME, the model that its pods serve, and every condition.

    With --watch and -o json each change is one line. The exit code does not depend on the status. To wait, use
    `kubectl wait --for=condition=Ready`, or `promote --wait`.
    """
    if not watch:
        _show(CetaceanModel.parse(cluster.get(name)), output)
        return
    with contextlib.suppress(KeyboardInterrupt):
        _follow(cluster, name, output)


def _follow(cluster: Cluster, name: str, output: Output) -> None:
    out = console()
    live = out.is_terminal and output == "table"
    with Live(console=out, auto_refresh=False) if live else contextlib.nullcontext() as screen:
        last = None
        for raw in cluster.watch(name):
            resource = CetaceanModel.parse(raw)
            shown = as_json(resource)
            if shown == last:
                continue
            if screen:
                screen.update(status_view(resource), refresh=True)
            elif output == "json":
                print_json(shown, indent=None)
            else:
                _show(resource, output)
                echo()
            last = shown


def _show(resource: CetaceanModel, output: Output) -> None:
    if output == "json":
        print_json(as_json(resource))
    else:
        show(status_view(resource))


@click.command()
@name_argument
@output_option
@cluster_options
def history(*, name: str, output: Output, cluster: Cluster) -> None:
    """Show the last promotions of the CetaceanModel NAME, newest first, each with its reason."""
    resource = CetaceanModel.parse(cluster.get(name))
    if output == "json":
        print_json(resource.status.wire().get("history", []))
    elif resource.status.history:
        show(history_view(resource))
    else:
        echo(f"{resource.subject} has no history yet", err=True)
