"""What the runbook leaves to the operator: drift rolls a model back, once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import pytest

from demo.stage import DRIFT, Stage
from demo.waiting import until

SAMPLES = 110
ROLLBACK = {**DRIFT, "onAlarm": "Rollback"}


@pytest.fixture
def name(stage: Stage, request: pytest.FixtureRequest) -> Iterator[str]:
    chosen = request.node.name.replace("_", "-").removeprefix("test-")[:40]
    yield chosen
    stage.kubectl("delete", "cetaceanmodel", chosen, "--ignore-not-found", "--wait=false")


def test_drift_rolls_back_once(stage: Stage, name: str) -> None:
    def asks_for(model: str, **drift: Any) -> int:
        """Mirror the registry; returns the generation."""
        stage.kubectl.apply(stage.manifest(name, active=model, replicas=1, drift={**ROLLBACK, **drift}))
        generation: int = stage.resource(name)["metadata"]["generation"]
        return generation

    asks_for("demo_v1")
    stage.wait_for_condition(name, "Ready", "True")
    promoted = asks_for("demo_v2")
    stage.wait_for_condition(name, "Ready", "True", mentions="demo_v2")

    # Fog, night, blur and other subjects, as they come.
    pictures = [*islice(cycle(stage.models.drifted), SAMPLES // 2), *islice(cycle(stage.models.others), SAMPLES // 2)]
    random.Random(0).shuffle(pictures)
    stage.service(name).send(pictures)
    diverged = stage.wait_for_condition(name, "RegistryDiverged", "True")
    assert "demo_v2" in diverged["message"]
    assert "runbook.md#registry-diverged" in diverged["message"]
    until(
        "the model that served before to serve again",
        lambda: stage.resource(name)["status"].get("serving", {}).get("name") == "demo_v1",
    )
    status = stage.resource(name)["status"]
    assert status["rollback"]["rejected"]["name"] == "demo_v2"
    assert status["rollback"]["restored"]["name"] == "demo_v1"
    assert [(entry["model"], entry["reason"]) for entry in status["history"]] == [
        ("demo_v1", "DriftRollback"),
        ("demo_v2", "GatePassed"),
        ("demo_v1", "GatePassed"),
    ]
    assert status["history"][0]["why"] == status["rollback"]["why"]
    assert "demo_v2 1.1.0 drifted to a mean score of" in status["rollback"]["why"]
    assert stage.condition(name, "Stalled")["reason"] == "RolledBack"
    assert told(stage, name, "DriftRollback") == [status["rollback"]["why"]]

    # The next mirroring of the registry: nothing new, or something that is not about the model. Neither brings it back.
    assert asks_for("demo_v2") == promoted
    generation = asks_for("demo_v2", alarmDrop=0.11)
    still = stage.wait_for_condition(name, "RegistryDiverged", "True")
    assert still["observedGeneration"] == generation > promoted
    assert stage.resource(name)["status"]["rollback"] == status["rollback"]
    answers = [stage.pod_answer(pod, "/v1/identity") for pod in stage.pods(name)]
    assert [answer["model"]["name"] for answer in answers] == ["demo_v1"]

    asks_for("demo_v1")
    stage.wait_for_condition(name, "RegistryDiverged", "False")
    stage.wait_for_condition(name, "Stalled", "False")
    assert "rollback" not in stage.resource(name)["status"]


def told(stage: Stage, name: str, reason: str) -> list[str]:
    """Events about a resource."""
    events = stage.kubectl.get("events", "--field-selector", f"involvedObject.name={name},reason={reason}")["items"]
    return [event["message"] for event in events]
