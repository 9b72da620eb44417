"""Automatic rollback: drift rolls a model back, once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import pytest

from cetacean_tools.demo.environment import DRIFT, Environment
from cetacean_tools.demo.waiting import until

SAMPLES = 110
ROLLBACK = {**DRIFT, "onAlarm": "Rollback"}


@pytest.fixture
def name(environment: Environment, request: pytest.FixtureRequest) -> Iterator[str]:
    chosen = request.node.name.replace("_", "-").removeprefix("test-")[:40]
    yield chosen
    environment.kubectl("delete", "cetaceanmodel", chosen, "--ignore-not-found", "--wait=false")


def test_drift_rolls_the_model_back_once(environment: Environment, name: str) -> None:
    def mirror(model: str, **drift: Any) -> int:
        """Mirror the registry with an active model; return the generation."""
        environment.kubectl.apply(environment.manifest(name, active=model, replicas=1, drift={**ROLLBACK, **drift}))
        generation: int = environment.resource(name)["metadata"]["generation"]
        return generation

    mirror("demo_v1")
    environment.wait_for_condition(name, "Ready", "True")
    promoted = mirror("demo_v2")
    environment.wait_for_condition(name, "Ready", "True", mentions="demo_v2")

    # Every third picture shows no cetacean: the mean drops, and still fewer are rejected than a systemic fault would.
    pictures = [
        *islice(cycle(environment.models.cetaceans), SAMPLES * 2 // 3),
        *islice(cycle(environment.models.others), SAMPLES // 3),
    ]
    random.Random(0).shuffle(pictures)
    environment.service(name).send(pictures)
    diverged = environment.wait_for_condition(name, "RegistryDiverged", "True")
    assert "demo_v2" in diverged["message"]
    assert "runbook.md#registry-diverged" in diverged["message"]
    until(
        "the model that served before to serve again",
        lambda: environment.resource(name)["status"].get("serving", {}).get("name") == "demo_v1",
    )
    status = environment.resource(name)["status"]
    assert status["rollback"]["rejected"]["name"] == "demo_v2"
    assert status["rollback"]["restored"]["name"] == "demo_v1"
    assert [(entry["model"], entry["reason"]) for entry in status["history"]] == [
        ("demo_v1", "DriftRollback"),
        ("demo_v2", "GatePassed"),
        ("demo_v1", "GatePassed"),
    ]
    assert status["history"][0]["why"] == status["rollback"]["why"]
    assert "demo_v2 1.1.0 drifted to a mean score of" in status["rollback"]["why"]
    assert environment.condition(name, "Stalled")["reason"] == "RolledBack"
    assert event_messages(environment, name, "DriftRollback") == [status["rollback"]["why"]]

    # The registry is mirrored again, unchanged or with a change of another field: the rejected model stays rejected.
    assert mirror("demo_v2") == promoted
    generation = mirror("demo_v2", alarmDrop=0.11)
    still = environment.wait_for_condition(name, "RegistryDiverged", "True")
    assert still["observedGeneration"] == generation > promoted
    assert environment.resource(name)["status"]["rollback"] == status["rollback"]
    answers = [environment.pod_answer(pod, "/v1/identity") for pod in environment.pods(name)]
    assert [answer["model"]["name"] for answer in answers] == ["demo_v1"]

    mirror("demo_v1")
    environment.wait_for_condition(name, "RegistryDiverged", "False")
    environment.wait_for_condition(name, "Stalled", "False")
    assert "rollback" not in environment.resource(name)["status"]


def event_messages(environment: Environment, name: str, reason: str) -> list[str]:
    """Return the messages of Events about a resource."""
    events = environment.kubectl.get("events", "--field-selector", f"involvedObject.name={name},reason={reason}")[
        "items"
    ]
    return [event["message"] for event in events]
