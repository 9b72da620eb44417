"""Options that several commands have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from cetacean_cli.cluster import Cluster

Output = Literal["table", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])
REGISTRY = Path("models/registry.json")
THRESHOLD_FILE = Path("configs/anti_fraud_threshold.yaml")


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --kubeconfig, --context and --namespace; the command gets `cluster`."""

    @click.option("--kubeconfig", metavar="FILE", help="Else $KUBECONFIG, else ~/.kube/config.")
    @click.option("--context", metavar="NAME", help="Of the kubeconfig; else the current one.")
    @click.option("-n", "--namespace", metavar="NAME", help="Else the context's.")
    @functools.wraps(command)
    def connected(
        *arguments: Any, kubeconfig: str | None, context: str | None, namespace: str | None, **options: Any
    ) -> Any:
        cluster = Cluster.connect(kubeconfig=kubeconfig, context=context, namespace=namespace)
        return command(*arguments, cluster=cluster, **options)

    return connected


def output_option(command: Command) -> Command:
    """Add --output."""
    return click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
    )(command)


def change_options(command: Command) -> Command:
    """Add what every command has that changes something: --yes, --dry-run, --output."""
    command = output_option(command)
    command = click.option("--dry-run", is_flag=True, help="Show and check the change, and do not make it.")(command)
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


def wait_options(command: Command) -> Command:
    """Add --wait and --timeout."""
    command = click.option(
        "--timeout",
        type=click.FloatRange(min=1),
        default=900,
        show_default=True,
        metavar="SECONDS",
        help="How long --wait waits.",
    )(command)
    return click.option("--wait", is_flag=True, help="Wait until all pods serve it.")(command)


def file_option(command: Command) -> Command:
    """Add --file, the registry."""
    return click.option(
        "-f",
        "--file",
        type=click.Path(path_type=Path, dir_okay=False),
        default=REGISTRY,
        show_default=True,
        help="The registry; paths in it begin at its folder's parent.",
    )(command)


def name_argument(command: Command) -> Command:
    """Add NAME, the CetaceanModel's."""
    return click.argument("name")(command)
