"""`drift`: the pooled figures of the status, and the figures of each pod."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import click
from rich.text import Text

from cetacean_cli.cluster import Cluster, Object
from cetacean_cli.errors import CliError
from cetacean_cli.options import Output, cluster_options, name_argument, output_option
from cetacean_cli.output import echo, key_value_table, print_json, show, table
from cetacean_cli.pod_answers import DRIFT_PATH, IDENTITY_PATH, DriftStats, Identity
from cetacean_cli.pods import is_ready
from cetacean_cli.resource import CetaceanModel
from cetacean_operator.api import names
from cetacean_operator.api.status import SignalStatus

_PARALLEL_PODS: Final = 8
"""Pods that are read at the same time."""


@click.command()
@name_argument
@click.option(
    "--pods/--no-pods", default=True, help="Read the figures of each pod too, through the API server's proxy."
)
@output_option
@cluster_options
def drift(*, name: str, pods: bool, output: Output, cluster: Cluster) -> None:
    """Compare the scores of the CetaceanModel NAME with the baseline of the model that serves.

    The pooled figures come from the status, and so do the signals with their value, their bound and, if they are
    raised, the next step. To read the figures of each pod you need the right to `get` `pods/proxy`. A pod that does not
    answer, or whose answer is not as expected, is listed with the error.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    selector = resource.status.selector
    by_pod = _read_pods(cluster, selector) if pods and selector else []
    if output == "json":
        condition = resource.status.condition(names.DRIFTING)
        print_json(
            {
                "condition": condition.wire() if condition else None,
                "policy": resource.spec.drift.wire(),
                "pooled": resource.status.drift.wire() if resource.status.drift else None,
                "pods": by_pod,
            }
        )
        return
    show(key_value_table(_pooled(resource)))
    if signals := resource.status.drift.signals if resource.status.drift else ():
        echo()
        show(table(("SIGNAL", "STATE", "REASON", "VALUE", "BOUND", "SAMPLES", "NEXT STEP"), map(_signal_row, signals)))
    if by_pod:
        echo()
        head = ("POD", "MODEL", "SAMPLES", "MEAN", "BASELINE", "DROP", "DRIFTING", "ALARMS", "NOTE")
        show(table(head, map(_row, by_pod)))


def _pooled(resource: CetaceanModel) -> list[tuple[str, object]]:
    figures, policy = resource.status.drift, resource.spec.drift
    condition = resource.status.condition(names.DRIFTING)
    rows: list[tuple[str, object]] = []
    if condition:
        text = f"{condition.status} {condition.reason}: {condition.message}"
        style = {"True": "red", "False": "green"}.get(condition.status, "yellow")
        rows.append(("Drifting", Text(text, style=style)))
    if figures is None:
        return [*rows, ("Figures", "none yet")]
    return [
        *rows,
        ("Mean score", figures.mean),
        ("Baseline", figures.baseline),
        ("Drop", f"{'-' if figures.drop is None else format(figures.drop, 'g')} (alarm at {policy.alarm_drop:g})"),
        ("Samples", f"{figures.samples} (at least {policy.min_samples} are needed)"),
        ("Rejection rate", figures.rejection_rate),
        ("Alarms", figures.alarms),
        ("Pods", f"{figures.pods_scraped} answered the operator, {figures.pods_silent} did not"),
    ]


def _signal_row(signal: SignalStatus) -> tuple[object, ...]:
    figures = (signal.value, signal.bound, signal.samples)
    return signal.signal, signal.state, signal.reason, *figures, signal.next_step or ""


def _row(pod: dict[str, Any]) -> tuple[object, ...]:
    if "error" in pod:
        return pod["pod"], *[None] * 7, pod["error"]
    model, stats = pod["model"], pod["drift"]
    figures = (stats["n"], stats["score_mean"], stats["baseline"], stats["drop"])
    drifting = "yes" if stats["drifting"] else "no"
    return pod["pod"], f"{model['name']} {model['version']}", *figures, drifting, stats["alarms_total"], None


def _read_pods(cluster: Cluster, selector: str) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(_PARALLEL_PODS) as pool:
        return list(pool.map(lambda pod: _read_pod(cluster, pod), cluster.pods(selector)))


def _read_pod(cluster: Cluster, pod: Object) -> dict[str, Any]:
    name = str(pod["metadata"]["name"])
    if not is_ready(pod):
        return {"pod": name, "error": "not ready"}
    try:
        identity = Identity.parse(IDENTITY_PATH, cluster.get_from_pod(name, names.PORT, IDENTITY_PATH))
        stats = DriftStats.parse(DRIFT_PATH, cluster.get_from_pod(name, names.PORT, DRIFT_PATH))
    except CliError as error:
        return {"pod": name, "error": error.format_message()}
    except ValueError as error:
        return {"pod": name, "error": str(error)}
    return {"pod": name, "model": identity.model.model_dump(), "drift": stats.model_dump()}
