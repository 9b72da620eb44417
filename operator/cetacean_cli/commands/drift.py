"""`drift`: the pooled figures of the status, and what each pod says itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import click
from rich.text import Text

from cetacean_cli.cluster import Cluster, Object
from cetacean_cli.errors import CliError
from cetacean_cli.options import Output, cluster_options, name_argument, output_option
from cetacean_cli.resource import CetaceanModel
from cetacean_cli.showing import pairs, print_json, show, table
from cetacean_operator.api import names

_TOGETHER: Final = 8
"""Pods that are asked at the same time."""
_FIELDS: Final = ("n", "score_mean", "baseline", "drop", "drifting", "alarms_total")


@click.command()
@name_argument
@click.option("--pods/--no-pods", default=True, help="Ask each pod too, through the API server's proxy.")
@output_option
@cluster_options
def drift(*, name: str, pods: bool, output: Output, cluster: Cluster) -> None:
    """Show how far the scores of the CetaceanModel NAME lie below the baseline of the model that serves.

    The pooled figures are those of the status. Each pod's own need the right to `get` `pods/proxy`; a pod that does not
    answer is named.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    selector = resource.status.selector
    found = _ask_all(cluster, selector) if pods and selector else []
    if output == "json":
        told = resource.condition(names.DRIFTING)
        print_json(
            {
                "condition": told.wire() if told else None,
                "policy": resource.spec.drift.wire(),
                "pooled": resource.status.drift.wire() if resource.status.drift else None,
                "pods": found,
            }
        )
        return
    show(pairs(_pooled(resource)))
    if found:
        click.echo()
        head = ("POD", "MODEL", "SAMPLES", "MEAN", "BASELINE", "DROP", "DRIFTING", "ALARMS", "NOTE")
        show(table(head, map(_row, found)))


def _pooled(resource: CetaceanModel) -> list[tuple[str, object]]:
    figures, policy = resource.status.drift, resource.spec.drift
    told = resource.condition(names.DRIFTING)
    rows: list[tuple[str, object]] = []
    if told:
        style = {"True": "red", "False": "green"}.get(told.status, "yellow")
        rows.append(("Drifting", Text(f"{told.status} {told.reason}: {told.message}", style=style)))
    if figures is None:
        return [*rows, ("Figures", "none yet")]
    return [
        *rows,
        ("Mean score", figures.mean),
        ("Baseline", figures.baseline),
        ("Drop", f"{'-' if figures.drop is None else format(figures.drop, 'g')} (alarm at {policy.alarm_drop:g})"),
        ("Samples", f"{figures.samples} (at least {policy.min_samples} count)"),
        ("Rejection rate", figures.rejection_rate),
        ("Alarms", figures.alarms),
        ("Pods", f"{figures.pods_scraped} answered the operator, {figures.pods_silent} silent"),
    ]


def _row(pod: dict[str, Any]) -> tuple[object, ...]:
    stats = pod.get("drift") or {}
    drifting = {True: "yes", False: "no"}.get(stats.get("drifting", ""))
    model = pod.get("model") or {}
    told = f"{model['name']} {model.get('version') or ''}".strip() if model.get("name") else None
    figures = (stats.get("n"), stats.get("score_mean"), stats.get("baseline"), stats.get("drop"))
    return pod["pod"], told, *figures, drifting, stats.get("alarms_total"), pod.get("error") or ""


def _ask_all(cluster: Cluster, selector: str) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(_TOGETHER) as pool:
        return list(pool.map(lambda pod: _ask(cluster, pod), cluster.pods(selector)))


def _ask(cluster: Cluster, pod: Object) -> dict[str, Any]:
    name = str(pod["metadata"]["name"])
    if not _is_ready(pod):
        return {"pod": name, "error": "not ready"}
    try:
        identity = cluster.ask_pod(name, names.PORT, "/v1/identity")
        stats = cluster.ask_pod(name, names.PORT, "/v1/drift-stats")
    except CliError as error:
        return {"pod": name, "error": error.format_message()}
    model = identity.get("model") if isinstance(identity.get("model"), dict) else {}
    return {"pod": name, "model": model, "drift": {key: stats.get(key) for key in _FIELDS}}


def _is_ready(pod: Object) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
