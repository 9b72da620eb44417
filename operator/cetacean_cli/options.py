"""Options that several commands have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """How a change is carried out."""

    yes: bool
    """Do not ask."""
    dry_run: bool
    """Show and check it, and change nothing."""
    output: Output
    """JSON goes to standard output alone, what a person reads then goes to standard error."""


def change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command has that changes something: --yes, --dry-run, --output; the command gets `how`."""

    @click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    @click.option("--dry-run", is_flag=True, help="Show and check the change, and do not make it.")
    @output_option
    @functools.wraps(command)
    def carried_out(*arguments: Any, yes: bool, dry_run: bool, output: Output, **options: Any) -> Any:
        return command(*arguments, how=ChangeOptions(yes, dry_run, output), **options)

    return carried_out


def wait_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --wait and --timeout; the command gets `wait`: for how many seconds, None: not at all."""

    @click.option("--wait", is_flag=True, help="Wait until all pods serve it.")
    @click.option(
        "--timeout",
        type=click.FloatRange(min=1),
        default=900,
        show_default=True,
        metavar="SECONDS",
        help="How long --wait waits.",
    )
    @functools.wraps(command)
    def waiting(*arguments: Any, wait: bool, timeout: float, **options: Any) -> Any:
        return command(*arguments, wait=timeout if wait else None, **options)

    return waiting


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
