"""Scrape configs made of monitors, and Prometheus' responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cetacean_tools.demo.prometheus import NAME, Prometheus, QueryError, scrape_configs

MONITOR = {
    "kind": "ServiceMonitor",
    "metadata": {"name": "whales", "namespace": "sea"},
    "spec": {
        "selector": {"matchLabels": {"ecomarineai.org/cetaceanmodel": "whales"}},
        "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s", "honorLabels": True}],
    },
}


def test_a_service_monitor_becomes_a_scrape_config_of_its_services_pods() -> None:
    (config,) = scrape_configs([MONITOR])
    assert config["job_name"] == "ServiceMonitor/sea/whales/0"
    assert config["honor_labels"] is True
    assert (config["scrape_interval"], config["scrape_timeout"]) == ("30s", "10s")
    assert config["kubernetes_sd_configs"] == [{"role": "endpointslice", "namespaces": {"names": ["sea"]}}]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in config["relabel_configs"] if "action" in rule}
    assert kept == {
        "__meta_kubernetes_service_label_ecomarineai_org_cetaceanmodel": "whales",
        "__meta_kubernetes_endpointslice_port_name": "http",
    }
    given = {rule["target_label"] for rule in config["relabel_configs"] if "target_label" in rule}
    assert given == {"namespace", "service", "pod", "container", "job", "endpoint"}


def test_the_interval_can_be_overridden() -> None:
    (config,) = scrape_configs([MONITOR], interval="2s")
    assert (config["scrape_interval"], config["scrape_timeout"]) == ("2s", "2s")


def pod_monitor(**spec: Any) -> dict[str, Any]:
    """One monitor for all models, with changes."""
    endpoint = {
        "port": "http",
        "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_label_a"], "targetLabel": "service"}],
        "metricRelabelings": [{"action": "labeldrop", "regex": "uid"}],
    }
    exists = {"matchExpressions": [{"key": "ecomarineai.org/cetaceanmodel", "operator": "Exists"}]}
    meta = {"name": "models", "namespace": "system"}
    return {
        "kind": "PodMonitor",
        "metadata": meta,
        "spec": {"selector": exists, "podMetricsEndpoints": [endpoint], **spec},
    }


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ({}, ["system"]),
        ({"namespaceSelector": {"any": True}}, ["sea", "system"]),
        ({"namespaceSelector": {"matchNames": ["a"]}}, ["a"]),
    ],
    ids=["own", "any", "named"],
)
def test_a_pod_monitor_becomes_a_scrape_config_of_pods(selector: dict[str, Any], names: list[str]) -> None:
    (config,) = scrape_configs([pod_monitor(**selector)], namespaces={"system", "sea"})
    assert config["job_name"] == "PodMonitor/system/models/0"
    assert config["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": names}}]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in config["relabel_configs"] if "action" in rule}
    assert kept == {
        "__meta_kubernetes_pod_labelpresent_ecomarineai_org_cetaceanmodel": "true",
        "__meta_kubernetes_pod_container_port_name": "http",
    }
    # Last, so that they have the last word.
    assert config["relabel_configs"][-1] == {
        "source_labels": ["__meta_kubernetes_pod_label_a"],
        "target_label": "service",
    }
    assert config["metric_relabel_configs"] == [{"action": "labeldrop", "regex": "uid"}]


def test_a_selector_of_several_values_keeps_any_of_them() -> None:
    wanted = {"key": "ecomarineai.org/cetaceanmodel", "operator": "In", "values": ["whales", "whales_candidate"]}
    (config,) = scrape_configs([pod_monitor(selector={"matchExpressions": [wanted]})])
    kept = {"__meta_kubernetes_pod_label_ecomarineai_org_cetaceanmodel": "whales|whales_candidate"}
    assert {rule["source_labels"][0]: rule["regex"] for rule in config["relabel_configs"] if rule.get("regex")} == {
        **kept,
        "__meta_kubernetes_pod_container_port_name": "http",
    }


def test_an_unknown_selector_operator_is_an_error() -> None:
    selector = {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}
    with pytest.raises(ValueError, match="expected the operator Exists or In, got NotIn"):
        scrape_configs([pod_monitor(selector=selector)])


Serve = Callable[[dict[str, Any]], Prometheus]


@pytest.fixture
def serve() -> Serve:
    """A Prometheus that responds to each call with the data given for its name."""

    def run(answers: dict[str, Any]) -> Prometheus:
        def answer(request: httpx.Request) -> httpx.Response:
            assert f"/services/{NAME}:http/proxy/api/v1/" in request.url.path
            call = request.url.path.rpartition("/")[2]
            if call not in answers:
                return httpx.Response(400, text="parse error: unexpected end of input")
            return httpx.Response(200, content=json.dumps({"data": answers[call]}))

        client = httpx.Client(transport=httpx.MockTransport(answer))
        return Prometheus.of(client, "http://proxy", "sea")

    return run


def test_a_wrong_query_is_named_with_the_response_of_prometheus(serve: Serve) -> None:
    with pytest.raises(QueryError, match=r"sum\(: parse error"):
        serve({}).series("sum(")


def test_history_ends_now_by_prometheus_own_clock(serve: Serve) -> None:
    series = [{"metric": {"pod": "a"}, "values": [[90, "1"]]}]
    there = serve(
        {
            "query": {"resultType": "scalar", "result": [100.0, "100"]},
            "query_range": {"resultType": "matrix", "result": series},
        }
    )
    assert there.history("up", seconds=10, step=5) == series


def test_only_alerts_of_the_named_states_are_returned(serve: Serve) -> None:
    def alert(name: str, state: str) -> dict[str, Any]:
        return {"labels": {"alertname": name, "severity": "warning"}, "state": state}

    there = serve({"alerts": {"alerts": [alert("Drift", "firing"), alert("Slow", "pending")]}})
    assert there.alerts("firing") == {"Drift": {"alertname": "Drift", "severity": "warning"}}
    assert set(there.alerts("pending", "firing")) == {"Drift", "Slow"}
