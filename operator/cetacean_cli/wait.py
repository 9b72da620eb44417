"""Wait until the pods serve the new spec, and print the progress."""

from __future__ import annotations

from rich.console import Console
from rich.status import Status as Spinner
from rich.text import Text

from cetacean_cli.cluster import Cluster
from cetacean_cli.errors import RefusedError
from cetacean_cli.output import console, echo
from cetacean_cli.resource import CetaceanModel
from cetacean_operator.api import names
from cetacean_operator.api.status import Condition
from cetacean_registry.messages import printable


def wait_until_ready(cluster: Cluster, name: str, *, generation: int, seconds: float) -> None:
    """Wait until the condition Ready is True for this generation or a later one; progress goes to standard error.

    Args:
        cluster: the cluster.
        name: the CetaceanModel's.
        generation: of the spec to wait for.
        seconds: for how long.

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
            ready = resource.status.condition(names.READY)
            stalled = resource.status.condition(names.STALLED)
            if ready and ready.status == "True":
                spinner.stop()
                echo(f"{resource.subject} is ready: {ready.message}", err=True)
                return
            if stalled and stalled.status == "True":
                raise RefusedError(f"{resource.subject} is stalled: {_reason(stalled)}")
            progress = _reason(ready) if ready else "no condition Ready yet"
            if progress != last:
                _show(err, spinner, progress)
                last = progress
    raise RefusedError(f"cetaceanmodel {cluster.namespace}/{name} is not ready after {seconds:g} s: {last}")


def _show(err: Console, spinner: Spinner, progress: str) -> None:
    if err.is_terminal:
        spinner.update(Text(printable(progress)))
    else:
        echo(progress, err=True)


def _reason(condition: Condition) -> str:
    return f"{condition.reason}: {condition.message}"
