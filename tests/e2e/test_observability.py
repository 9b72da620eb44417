"""A real Prometheus scrapes real pods and the operator: every panel shows something, every alert can be judged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import pytest
from support.known_series import series_in

from dashboards import BOARDS, Query, queries, written
from demo import environment, prometheus
from demo.kubectl import Kubectl
from demo.prometheus import Prometheus
from demo.stage import Stage
from demo.traffic import BackgroundTraffic
from demo.waiting import until
from local_cluster import choose
from local_cluster.program_images import ensure_program_image

NAME = "watched"
INTERVAL = "2s"
MINUTES = 300.0
RARE = {"Reconciles that failed", "Objects that a listing corrected"}
"""Legends of queries about what does not happen here: their series come with the first event."""

ALL = [(name, query) for name in BOARDS for query in queries(written(name))]


@pytest.fixture(scope="module")
def watching(stage: Stage) -> Iterator[Prometheus]:
    """Prometheus, after a model has been rolled out, asked for pictures of all kinds, and has drifted."""
    cluster = choose()
    image = ensure_program_image("prometheus")
    cluster.load_image(image.reference, image.archive)
    serving = {"serviceMonitor": {"enabled": True, "interval": INTERVAL}}
    stage.kubectl.apply(stage.manifest(NAME, active="demo_v1", replicas=1, serving=serving))
    until("the model's ServiceMonitor", lambda: _monitors(stage.kubectl))
    prometheus.deploy(stage.kubectl, image.reference, interval=INTERVAL)
    there = Prometheus.of(stage.client, stage.proxy, stage.kubectl.namespace)
    stage.wait_for_condition(NAME, "Ready", "True")

    service = stage.service(NAME)
    service.send([*stage.models.cetaceans[:8], *stage.models.others[:8]])
    until("Prometheus to scrape all", lambda: _up(there) >= {NAME, f"{environment.RELEASE}-metrics"})
    service.send(list(islice(cycle(stage.models.drifted), 60)))
    stage.wait_for_condition(NAME, "Drifting", "True", within=60)
    # A series that begins with all of its events has a rate of zero: what is asked of rates needs traffic that goes on.
    with BackgroundTraffic(service, stage.models.drifted):
        yield there
    stage.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")
    stage.kubectl("delete", "deployment,service", prometheus.NAME, "--wait=false")


def _monitors(kubectl: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kubectl.get(prometheus.MONITORS)["items"]
    return found


def _up(there: Prometheus) -> set[str]:
    return {target["labels"]["service"] for target in there.targets() if target["health"] == "up"}


def _pods(there: Prometheus, monitor: str) -> set[tuple[str, ...]]:
    """Namespace, service and pod of the model's targets that a kind of monitor has found, and that answer."""
    return {
        tuple(target["labels"][name] for name in ("namespace", "service", "pod"))
        for target in there.targets()
        if target["scrapePool"].startswith(f"{monitor}/") and target["health"] == "up"
        if target["labels"]["service"] == NAME
    }


def _asked(stage: Stage, query: Query) -> str:
    variables = {"namespace": stage.kubectl.namespace, "model": NAME, "__range": "5m", "__rate_interval": "1m"}
    return query.asked(variables)


def _data(there: Prometheus, query: Query, expr: str) -> list[dict[str, Any]]:
    """The series that have a value which can be drawn."""
    if query.instant:
        found = [(series, [series["value"]]) for series in there.series(expr)]
    else:
        found = [(series, series["values"]) for series in there.history(expr, seconds=MINUTES, step=2)]
    return [series for series, values in found if any(not math.isnan(float(value)) for _, value in values)]


@pytest.mark.parametrize(("name", "query"), ALL, ids=[f"{name}: {query.panel}: {query.legend}" for name, query in ALL])
def test_a_panel_shows_something(watching: Prometheus, stage: Stage, name: str, query: Query) -> None:
    expr = _asked(stage, query)
    if query.legend.partition(":")[0] in RARE:
        _data(watching, query, expr)  # valid, or Prometheus refuses it
        assert all(watching.knows(series) for series in series_in(expr))
        return
    until(f"data for {expr}", lambda: _data(watching, query, expr), within=30)


def test_the_models_pod_monitor_finds_what_a_service_monitor_finds(watching: Prometheus) -> None:
    assert len(_pods(watching, "ServiceMonitor")) == 1
    until("the same pods", lambda: _pods(watching, "PodMonitor") == _pods(watching, "ServiceMonitor"), within=30)


def test_the_chart_has_brought_these_dashboards(stage: Stage, watching: Prometheus) -> None:
    inside = replace(stage.kubectl, namespace=environment.OPERATOR_NAMESPACE)
    held = inside.get("configmaps", "-l", "grafana_dashboard=1")["items"]
    texts = {name: text for item in held for name, text in item["data"].items()}
    assert texts == {f"{name}.json": written(name) for name in BOARDS}


def test_every_alert_can_be_judged(watching: Prometheus) -> None:
    until("all rules to be evaluated", lambda: all(rule["health"] != "unknown" for rule in watching.rules()))
    rules = {rule["name"]: rule for rule in watching.rules()}
    assert len(rules) > 10
    assert {name: rule["lastError"] for name, rule in rules.items() if rule["health"] != "ok"} == {}


def test_drift_is_alerted(watching: Prometheus, stage: Stage) -> None:
    labels = until("the alert", lambda: watching.firing().get("CetaceanModelDrifting"), within=30)
    assert labels is not None
    assert labels["namespace"] == stage.kubectl.namespace
    assert labels["name"] == NAME
    assert labels["severity"] == "warning"
    # What is well is not alerted.
    assert "CetaceanOperatorDown" not in watching.firing()
    assert "CetaceanServiceAvailability" not in watching.firing()
