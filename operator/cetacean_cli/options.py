"""Options that several commands have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from cetacean_cli.cluster import Cluster
from cetacean_cli.finite_range import FiniteRange
from cetacean_cli.kubeconfig import load_api_client

Output = Literal["table", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])
REGISTRY = Path("models/registry.json")
THRESHOLD_FILE = Path("configs/anti_fraud_threshold.yaml")


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --kubeconfig, --context and --namespace; the command gets `cluster`."""

    @click.option("--kubeconfig", metavar="FILE", help="Kubeconfig; default: $KUBECONFIG, else ~/.kube/config.")
    @click.option("--context", metavar="NAME", help="Context of the kubeconfig; default: the current one.")
    @click.option("-n", "--namespace", metavar="NAME", help="Namespace; default: the context's.")
    @functools.wraps(command)
    def connected(
        *arguments: Any, kubeconfig: str | None, context: str | None, namespace: str | None, **options: Any
    ) -> Any:
        client, default = load_api_client(kubeconfig, context)
        return command(*arguments, cluster=Cluster(client, namespace or default), **options)

    return connected


def output_option(command: Command) -> Command:
    """Add --output."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="Output format.",
    )(command)


@dataclass(frozen=True, slots=True)
class ChangeFlags:
    """The flags of a command that changes something."""

    yes: bool
    """Do not ask."""
    dry_run: bool
    """Show and check the change, and do not apply it."""
    output: Output
    """For json, standard output holds only the JSON; text for people goes to standard error."""


def change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --yes, --dry-run and --output; the command gets `flags`."""

    @click.option("-y", "--yes", is_flag=True, help="Apply the change without asking.")
    @click.option("--dry-run", is_flag=True, help="Show and check the change, and do not apply it.")
    @output_option
    @functools.wraps(command)
    def with_flags(*arguments: Any, yes: bool, dry_run: bool, output: Output, **options: Any) -> Any:
        return command(*arguments, flags=ChangeFlags(yes, dry_run, output), **options)

    return with_flags


def wait_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --wait and --timeout; the command gets `wait`: for how many seconds, None: do not wait."""

    @click.option("--wait", is_flag=True, help="Wait until all pods serve the new spec.")
    @click.option(
        "--timeout",
        type=FiniteRange(min=1),
        default=900,
        show_default=True,
        metavar="SECONDS",
        help="How long --wait waits.",
    )
    @functools.wraps(command)
    def with_wait(*arguments: Any, wait: bool, timeout: float, **options: Any) -> Any:
        return command(*arguments, wait=timeout if wait else None, **options)

    return with_wait


def file_option(command: Command) -> Command:
    """Add --file, the registry."""
    return click.option(
        "-f",
        "--file",
        type=click.Path(path_type=Path, dir_okay=False),
        default=REGISTRY,
        show_default=True,
        help="The registry's file; paths in it are relative to its folder's parent.",
    )(command)


def name_argument(command: Command) -> Command:
    """Add NAME, the CetaceanModel's."""
    return click.argument("name")(command)
