"""Waiting until the pods serve what was asked for, with progress."""

from __future__ import annotations

import click
from rich.console import Console
from rich.status import Status as Spinner

from cetacean_cli.cluster import Cluster
from cetacean_cli.errors import RefusedError
from cetacean_cli.resource import CetaceanModel
from cetacean_cli.showing import console
from cetacean_operator.api import names
from cetacean_operator.api.status import Condition


def wait_until_ready(cluster: Cluster, name: str, *, generation: int, seconds: float) -> None:
    """Wait until the operator says Ready of this generation or a later one; progress goes to standard error.

    Args:
        cluster: where.
        name: the resource's.
        generation: that the change made.
        seconds: how long.

    Raises:
        RefusedError: it is stalled, or did not become ready in time.
    """
    err = console(err=True)
    last = "the operator has not acted on it yet"
    with err.status(last) as spinner:
        for raw in cluster.watch(name, seconds=seconds):
            resource = CetaceanModel.parse(raw)
            if (resource.status.observed_generation or 0) < generation:
                continue
            ready = resource.condition(names.READY)
            stalled = resource.condition(names.STALLED)
            if ready and ready.status == "True":
                _say(err, spinner, None)
                click.echo(f"{resource.subject} is ready: {ready.message}", err=True)
                return
            if stalled and stalled.status == "True":
                raise RefusedError(f"{resource.subject} is stalled: {_words(stalled)}")
            told = _words(ready) if ready else "no condition Ready yet"
            if told != last:
                _say(err, spinner, told)
                last = told
    raise RefusedError(f"cetaceanmodel {cluster.namespace}/{name} is not ready after {seconds:g} s: {last}")


def _say(err: Console, spinner: Spinner, told: str | None) -> None:
    if told is None:
        spinner.stop()
    elif err.is_terminal:
        spinner.update(click.unstyle(told).replace("[", "\\["))
    else:
        click.echo(told, err=True)


def _words(condition: Condition) -> str:
    return f"{condition.reason}: {condition.message}"
