"""Stages on real pods: a candidate that agrees is promoted, and one that is sure and wrong is stopped by the shadow alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support.distinct_pictures import distinct
from support.panels import asked, data

from cetacean_registry.registry import ModelEntry
from cetacean_tools.dashboards import queries, written
from cetacean_tools.demo import installation, prometheus
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.prometheus import Prometheus
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.program_images import ensure_program_image
from cetacean_tools.local_cluster.use import choose

SERVES, EQUAL, PERMUTED = "demo_v2", "demo_equal", "demo_permuted"
PANELS = ("Candidate", "Stage")
"""Of the dashboard: elsewhere no candidate runs."""
BATCH = 20
"""Pictures that are sent before the cluster is read again."""
LONG = 420.0
"""Seconds; a kubelet brings a changed ConfigMap to a pod within two minutes."""
# Two cores share the pods of both models: their times are no subject here.
SHADOW = {
    "shadow": {
        "share": 1.0,
        "require": {
            "pictures": 40,
            "minAgreement": {"accepted": 0.9, "species": 0.9, "individual": 0.8},
            "maxErrorPercent": 10,
            "maxLatencyRatio": 100,
        },
    },
    "timeoutSeconds": 3600,
}
CANARY = {
    "canary": {
        "weight": 50,
        "require": {"requests": 20, "holdForSeconds": 5, "maxErrorIncreasePercent": 20, "maxLatencyRatio": 100},
    },
    "timeoutSeconds": 3600,
}


OPEN = {"minTPR": 0, "minTNR": 0, "maxRegression": 1}
"""Gates that refuse no model of the demo."""


@contextmanager
def watched(environment: Environment, services: set[str]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the operator and what the monitors of the cluster select."""
    image = ensure_program_image("prometheus")
    choose().load_image(image.reference, image.archive)
    until("the ServiceMonitor", lambda: environment.kubectl.get(prometheus.MONITORS)["items"])
    prometheus.deploy(environment.kubectl, image.reference, interval="2s")
    there = Prometheus.of(environment.client, environment.proxy, environment.kubectl.namespace)
    try:
        until("Prometheus to scrape them", lambda: services <= scraped(there))
        yield there
    finally:
        environment.kubectl("delete", "deployment,service", prometheus.NAME, "--wait=false")


def scraped(there: Prometheus) -> set[str]:
    return {target["labels"]["service"] for target in there.targets() if target["health"] == "up"}


@pytest.fixture
def name(environment: Environment, request: pytest.FixtureRequest) -> Iterator[str]:
    chosen = request.node.name.replace("_", "-").removeprefix("test-")[:40].rstrip("-")
    yield chosen
    environment.kubectl("delete", "cetaceanmodel", chosen, "--ignore-not-found", "--wait=false")


def mirror(
    environment: Environment,
    name: str,
    active: str,
    *stages: dict[str, Any],
    added: tuple[ModelEntry, ...] = (),
    **serving: Any,
) -> None:
    """Mirror the registry with an active model, stages and open gates."""
    manifest = environment.manifest(name, active=active, added=added, replicas=1, serving=serving)
    manifest["spec"] |= {"gates": OPEN, "rollout": {"stages": list(stages)}}
    environment.kubectl.apply(manifest)


def candidate_children(environment: Environment, name: str) -> list[str]:
    """Return kind and name of all children of a resource's candidate."""
    found = environment.kubectl.get("deployments,services")["items"]
    return [
        f"{one['kind']}/{one['metadata']['name']}" for one in found if one["metadata"]["name"] == f"{name}-candidate"
    ]


def send_until(
    environment: Environment, name: str, pictures: Iterator[Path], what: str, probe: Callable[[], Any]
) -> list[dict[str, Any]]:
    """Send pictures until `probe` returns something true; return all answers. A request that fails is an error."""
    answers: list[dict[str, Any]] = []

    def send_and_probe() -> Any:
        answers.extend(environment.service(name).send(list(islice(pictures, BATCH))))
        return probe()

    until(what, send_and_probe, within=LONG)
    return answers


def served_by(environment: Environment, name: str) -> str:
    return str(environment.resource(name)["status"].get("serving", {}).get("name"))


def test_a_candidate_that_agrees_passes_shadow_and_canary_and_no_request_fails(
    environment: Environment, name: str, tmp_path: Path
) -> None:
    equal = environment.copy_of(SERVES, name=EQUAL, version="1.1.9")
    monitored: dict[str, Any] = {"serviceMonitor": {"enabled": True, "interval": "2s"}}
    mirror(environment, name, SERVES, SHADOW, CANARY, added=(equal,), **monitored)
    environment.wait_for_condition(name, "Ready", "True")
    mirror(environment, name, EQUAL, SHADOW, CANARY, added=(equal,), **monitored)
    running = environment.wait_for_condition(name, "CandidatePassed", "Unknown", mentions="stage 1 of 2 (Shadow)")
    assert running["reason"] == "Running"
    assert environment.condition(name, "Reconciling")["status"] == "True"

    pictures = distinct(environment.models.cetaceans, tmp_path)
    empty = [query for query in queries(written("inference")) if query.panel in PANELS]
    with watched(environment, {f"{installation.RELEASE}-metrics", name, f"{name}-candidate"}) as there:

        def is_over() -> bool:
            empty[:] = [query for query in empty if not data(there, query, asked(environment, query, name))]
            return served_by(environment, name) == EQUAL

        answers = send_until(environment, name, pictures, f"{EQUAL} to serve", is_over)
    assert [f"{query.panel}: {query.legend}" for query in empty] == [], "panels without data"
    assert {answer["model_version"] for answer in answers} == {environment.registry.model(SERVES).version, "1.1.9"}
    environment.wait_for_condition(name, "Ready", "True", mentions=EQUAL)
    environment.wait_for_condition(name, "CandidatePassed", "True")
    until("nothing of the candidate to be left", lambda: not candidate_children(environment, name))
    newest = environment.resource(name)["status"]["history"][0]
    assert (newest["model"], [stage["kind"] for stage in newest["stages"]]) == (EQUAL, ["Shadow", "Canary"])
    shadow, canary = (stage[stage["kind"].lower()] for stage in newest["stages"])
    assert shadow["pictures"] == shadow["accepted"] >= 40
    assert (shadow["species"], shadow["individual"]) == (shadow["bothAccepted"],) * 2, "the weights are the same"
    assert canary["requests"] >= 20
    assert (canary["errors"], canary["stableErrors"]) == (0, 0)
    selector = environment.kubectl.get("service", name)["spec"]["selector"]
    assert selector == {"ecomarineai.org/cetaceanmodel": name}, "clients reach the resource's own pods only"


def test_a_confidently_wrong_model_is_stopped_by_the_shadow_alone(
    environment: Environment, name: str, tmp_path: Path
) -> None:
    mirror(environment, name, SERVES, SHADOW)
    environment.wait_for_condition(name, "Ready", "True")
    uids = {pod["metadata"]["uid"] for pod in environment.pods(name)}
    mirror(environment, name, PERMUTED, SHADOW)
    environment.wait_for_condition(name, "GatePassed", "True", mentions=PERMUTED)

    pictures = distinct(environment.models.cetaceans, tmp_path)

    def stopped() -> bool:
        return bool(environment.condition(name, "Stalled").get("reason") == "CandidateReturned")

    answers = send_until(environment, name, pictures, f"{PERMUTED} to be stopped", stopped)
    assert {answer["model_version"] for answer in answers} == {environment.registry.model(SERVES).version}
    assert environment.condition(name, "CandidatePassed")["reason"] == "Disagrees"
    (returned,) = environment.resource(name)["status"]["returnedCandidates"]
    assert (returned["model"], returned["reason"]) == (PERMUTED, "Disagrees")
    assert "same species: 0 of" in returned["why"], "the shadow names the figure"
    until("nothing of the candidate to be left", lambda: not candidate_children(environment, name))
    assert {pod["metadata"]["uid"] for pod in environment.pods(name)} == uids, "no pod was replaced"
    record = json.loads(
        environment.kubectl.get("deployment", name)["metadata"]["annotations"]["ecomarineai.org/promotion"]
    )
    assert [one["model"] for one in record["returned"]] == [PERMUTED]
