"""A Prometheus in the cluster, configured from monitors and PrometheusRules as the Prometheus Operator would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import httpx

from cetacean_tools.demo import installation
from cetacean_tools.demo.definitions import wait_until_served
from cetacean_tools.demo.kubectl import Kubectl, manifests
from cetacean_tools.local_cluster.sources import monitoring_kinds
from cetacean_tools.workspace import ToolError

NAME = "prometheus"
MONITORS = "servicemonitors.monitoring.coreos.com"
POD_MONITORS = "podmonitors.monitoring.coreos.com"
RULES = "prometheusrules.monitoring.coreos.com"


class QueryError(ToolError):
    """Prometheus rejected a query; the message holds the query and the response."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus, reached through the API server."""

    client: httpx.Client
    base: str

    @classmethod
    def of(cls, client: httpx.Client, proxy: str, namespace: str) -> Self:
        """Return a client of the one that `deploy` has put into `namespace`, through the API proxy at `proxy`."""
        return cls(client, f"{proxy}/api/v1/namespaces/{namespace}/services/{NAME}:http/proxy")

    def series(self, expr: str) -> list[dict[str, Any]]:
        """Return the current value of an expression: `metric` and `value` of each series.

        Raises:
            QueryError: the expression is wrong.
        """
        return self._results("query", {"query": expr}, expr)

    def now(self) -> float:
        """Return seconds since the epoch, by Prometheus' own clock."""
        (found,) = self.series("time()")
        return float(found["value"][1])

    def history(self, expr: str, *, seconds: float, step: float, end: float | None = None) -> list[dict[str, Any]]:
        """Return an expression over time: `metric` and `values` of each series, one each `step` seconds.

        Args:
            expr: in PromQL.
            seconds: how far back it goes.
            step: seconds between two values.
            end: seconds since the epoch at which it ends; now if None.

        Raises:
            QueryError: the expression is wrong.
        """
        end = self.now() if end is None else end
        parameters = {"query": expr, "start": f"{end - seconds:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return self._results("query_range", parameters, expr)

    def targets(self) -> list[dict[str, Any]]:
        """Return the scraped targets, each with its `health` and `labels`."""
        found: list[dict[str, Any]] = self._get("targets", {"state": "active"})["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules, each with its `health`, `lastError` and `state`."""
        return [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]

    def alerts(self, *states: str) -> dict[str, dict[str, str]]:
        """Return the labels of alerts that are in one of the states, `pending` or `firing`, by the alert's name."""
        alerts = self._get("alerts", {})["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in alerts if alert["state"] in states}

    def knows(self, metric: str) -> bool:
        """Return true if a target exports a metric, also one that has no value yet."""
        # OpenMetrics names a counter without its ending.
        names = (metric, metric.removesuffix("_total"))
        return any(self._get("metadata", {"metric": name}) for name in names)

    def _results(self, call: str, parameters: Mapping[str, str], expr: str) -> list[dict[str, Any]]:
        try:
            data = self._get(call, parameters)
        except httpx.HTTPStatusError as error:
            raise QueryError(f"{expr}: {error.response.text}") from error
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        found: list[dict[str, Any]] = data["result"]
        return found

    def _get(self, call: str, parameters: Mapping[str, str]) -> Any:
        answer = self.client.get(f"{self.base}/api/v1/{call}", params=parameters)
        answer.raise_for_status()
        return answer.json()["data"]


@contextmanager
def kinds(kubectl: Kubectl) -> Iterator[None]:
    """Install the Prometheus Operator's kinds within the `with` block, unless the cluster has them."""
    there = kubectl("get", "crd", "-o", "name")
    # Named monitoring.coreos.com_servicemonitors.yaml.
    missing = {path: ".".join(reversed(path.stem.split("_"))) for path in monitoring_kinds()}
    missing = {path: name for path, name in missing.items() if name not in there}
    for path, name in missing.items():
        kubectl("create", "-f", str(path))
        wait_until_served(kubectl, name)
    try:
        yield
    finally:
        for name in missing.values():
            kubectl("delete", "crd", name, "--wait=false")


def scrape_configs(
    monitors: Iterable[Mapping[str, Any]], *, namespaces: Iterable[str] = (), interval: str | None = None
) -> list[dict[str, Any]]:
    """Return the scrape configs that the Prometheus Operator makes of ServiceMonitors and PodMonitors.

    Args:
        monitors: as the API server returns them.
        namespaces: those that a monitor of any namespace selects from.
        interval: between scrapes, instead of their own.
    """
    return [
        _scrape_config(monitor, endpoint, index, sorted(namespaces), interval)
        for monitor in monitors
        for index, endpoint in enumerate(monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"])
    ]


def _scrape_config(
    monitor: Mapping[str, Any], endpoint: Mapping[str, Any], index: int, known: list[str], interval: str | None
) -> dict[str, Any]:
    meta, spec, pod = monitor["metadata"], monitor["spec"], "__meta_kubernetes_pod"
    if "endpoints" in spec:
        role, of, port = "endpointslice", "__meta_kubernetes_service", "__meta_kubernetes_endpointslice_port_name"
        named = {"service": f"{of}_name", "job": f"{of}_name"}
    else:
        role, of, port = "pod", pod, f"{pod}_container_port_name"
        named = {}
    named |= {"namespace": "__meta_kubernetes_namespace", "pod": f"{pod}_name", "container": f"{pod}_container_name"}
    where = spec.get("namespaceSelector", {})
    names = known if where.get("any") else where.get("matchNames", [meta["namespace"]])
    return {
        "job_name": f"{monitor['kind']}/{meta['namespace']}/{meta['name']}/{index}",
        "honor_labels": endpoint.get("honorLabels", False),
        "metrics_path": endpoint.get("path", "/metrics"),
        "scrape_interval": interval or endpoint.get("interval", "30s"),
        "scrape_timeout": interval or endpoint.get("scrapeTimeout", "10s"),
        "kubernetes_sd_configs": [{"role": role, "namespaces": {"names": names}}],
        "relabel_configs": [
            *_kept(spec["selector"], of),
            {"action": "keep", "source_labels": [port], "regex": endpoint["port"]},
            *({"source_labels": [source], "target_label": label} for label, source in named.items()),
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *(_snake(rule) for rule in endpoint.get("relabelings", ())),
        ],
        "metric_relabel_configs": [_snake(rule) for rule in endpoint.get("metricRelabelings", ())],
    }


def _kept(selector: Mapping[str, Any], of: str) -> Iterator[dict[str, Any]]:
    """Yield the rules that keep the Services or pods which a selector matches."""
    for name, value in selector.get("matchLabels", {}).items():
        yield {"action": "keep", "source_labels": [f"{of}_label_{_label(name)}"], "regex": value}
    for wanted in selector.get("matchExpressions", ()):
        label, operator = _label(wanted["key"]), wanted["operator"]
        if operator not in ("Exists", "In"):
            raise ValueError(f"expected the operator Exists or In, got {operator}")
        source, regex = ("label", "|".join(wanted["values"])) if operator == "In" else ("labelpresent", "true")
        yield {"action": "keep", "source_labels": [f"{of}_{source}_{label}"], "regex": regex}


def _snake(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a relabeling in Prometheus' own spelling."""
    return {re.sub(r"(?=[A-Z])", "_", key).lower(): value for key, value in rule.items()}


def _label(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def deploy(kubectl: Kubectl, image: str, *, interval: str) -> None:
    """Run a Prometheus with the current monitors and PrometheusRules of the whole cluster.

    Args:
        kubectl: bound to the namespace that it is to run in.
        image: of its program.
        interval: between scrapes and between evaluations.
    """
    everywhere = "--all-namespaces"
    monitors = kubectl.get(f"{MONITORS},{POD_MONITORS}", everywhere)["items"]
    namespaces = {monitor["metadata"]["namespace"] for monitor in monitors}
    groups = [group for item in kubectl.get(RULES, everywhere)["items"] for group in item["spec"]["groups"]]
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": ["/etc/prometheus/rules.yml"],
        "scrape_configs": scrape_configs(monitors, namespaces=namespaces, interval=interval),
    }
    # JSON is YAML.
    files = {"prometheus.yml": json.dumps(config), "rules.yml": json.dumps({"groups": groups})}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": files})
    for namespace in sorted(namespaces):
        for manifest in manifests("prometheus", name=NAME, namespace=kubectl.namespace):
            replace(kubectl, namespace=namespace).apply(manifest)
    installation.deploy(kubectl, "prometheus-server", name=NAME, image=image)
