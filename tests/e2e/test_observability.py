"""A real Prometheus scrapes real pods and the operator: every panel shows data, every alert can be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import pytest
from support.known_series import series_in
from support.panels import asked, data

from cetacean_tools.dashboards import BOARDS, Query, queries, written
from cetacean_tools.demo import installation, prometheus
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.prometheus import Prometheus
from cetacean_tools.demo.traffic import BackgroundTraffic
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.program_images import ensure_program_image
from cetacean_tools.local_cluster.use import choose

NAME = "watched"
INTERVAL = "2s"
RARE = {"Reconciles that failed", "Objects that a listing corrected"}
"""Legends of queries about what does not happen here: their series come with the first event."""
IDLE_PANELS = frozenset({"Candidate", "Stage"})
"""Panels of which that is true as a whole: no candidate runs here, but in test_stages.py."""

ALL = [(name, query) for name in BOARDS for query in queries(written(name))]


@pytest.fixture(scope="module")
def watching(environment: Environment) -> Iterator[Prometheus]:
    """Prometheus, after a model has been rolled out, got pictures of all kinds, and has drifted."""
    cluster = choose()
    image = ensure_program_image("prometheus")
    cluster.load_image(image.reference, image.archive)
    serving = {"serviceMonitor": {"enabled": True, "interval": INTERVAL}}
    environment.kubectl.apply(environment.manifest(NAME, active="demo_v1", replicas=1, serving=serving))
    until("the model's ServiceMonitor", lambda: _monitors(environment.kubectl))
    prometheus.deploy(environment.kubectl, image.reference, interval=INTERVAL)
    there = Prometheus.of(environment.client, environment.proxy, environment.kubectl.namespace)
    environment.wait_for_condition(NAME, "Ready", "True")

    service = environment.service(NAME)
    for found in service.send([*environment.models.cetaceans[:8], *environment.models.others[:8]]):
        answer = {key: found[key] for key in ("class_animal", "id_animal", "model_version")}
        truth = {"id_animal": found["id_animal"]}
        done = service.client.post(f"{service.base}/v1/feedback", json={"answer": answer, "truth": truth})
        assert found["rejected"] or done.is_success, done.text
    until("Prometheus to scrape all", lambda: _up(there) >= {NAME, f"{installation.RELEASE}-metrics"})
    service.send(list(islice(cycle(environment.models.drifted), 60)))
    environment.wait_for_condition(NAME, "Drifting", "True", within=60)
    # A series that begins with all of its events has a rate of zero: what is asked of rates needs traffic that goes on.
    with BackgroundTraffic(service, environment.models.drifted):
        yield there
    environment.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")
    environment.kubectl("delete", "deployment,service", prometheus.NAME, "--wait=false")


def _monitors(kubectl: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kubectl.get(prometheus.MONITORS)["items"]
    return found


def _up(there: Prometheus) -> set[str]:
    return {target["labels"]["service"] for target in there.targets() if target["health"] == "up"}


def _pods(there: Prometheus, monitor: str) -> set[tuple[str, ...]]:
    """Return namespace, service and pod of the model's healthy targets that a kind of monitor has found."""
    return {
        tuple(target["labels"][name] for name in ("namespace", "service", "pod"))
        for target in there.targets()
        if target["scrapePool"].startswith(f"{monitor}/") and target["health"] == "up"
        if target["labels"]["service"] == NAME
    }


@pytest.mark.parametrize(("name", "query"), ALL, ids=[f"{name}: {query.panel}: {query.legend}" for name, query in ALL])
def test_a_panel_shows_data(watching: Prometheus, environment: Environment, name: str, query: Query) -> None:
    expr = asked(environment, query, NAME)
    if query.legend.partition(":")[0] in RARE or query.panel in IDLE_PANELS:
        data(watching, query, expr)  # valid, or Prometheus refuses it
        assert all(watching.knows(series) for series in series_in(expr))
        return
    until(f"data for {expr}", lambda: data(watching, query, expr), within=30)


def test_pod_monitor_and_service_monitor_find_the_same_pods(watching: Prometheus) -> None:
    assert len(_pods(watching, "ServiceMonitor")) == 1
    until("the same pods", lambda: _pods(watching, "PodMonitor") == _pods(watching, "ServiceMonitor"), within=30)


def test_the_chart_installs_these_dashboards(environment: Environment, watching: Prometheus) -> None:
    inside = replace(environment.kubectl, namespace=installation.OPERATOR_NAMESPACE)
    held = inside.get("configmaps", "-l", "grafana_dashboard=1")["items"]
    texts = {name: text for item in held for name, text in item["data"].items()}
    assert texts == {f"{name}.json": written(name) for name in BOARDS}


def test_every_alert_can_be_evaluated(watching: Prometheus) -> None:
    until("all rules to be evaluated", lambda: all(rule["health"] != "unknown" for rule in watching.rules()))
    rules = {rule["name"]: rule for rule in watching.rules()}
    assert len(rules) > 10
    assert {name: rule["lastError"] for name, rule in rules.items() if rule["health"] != "ok"} == {}


def test_drift_fires_an_alert(watching: Prometheus, environment: Environment) -> None:
    labels = until("the alert", lambda: watching.alerts("firing").get("CetaceanModelDrifting"), within=30)
    assert labels is not None
    assert labels["namespace"] == environment.kubectl.namespace
    assert labels["name"] == NAME
    assert labels["severity"] == "warning"
    # What is well is not alerted. These two wait for minutes before they fire: until then they would be pending.
    assert not {"CetaceanOperatorDown", "CetaceanServiceAvailability"} & set(watching.alerts("pending", "firing"))
