"""With `onAlarm: Rollback` the operator rolls a drifting model back, once."""

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


def test_drift_rolls_the_model_back_once(stage: Stage, name: str) -> None:
    def apply_registry(model: str, **drift: Any) -> int:
        """Apply the resource as a mirror of the registry does; return its generation."""
        stage.kubectl.apply(stage.manifest(name, active=model, replicas=1, drift={**ROLLBACK, **drift}))
        generation: int = stage.resource(name)["metadata"]["generation"]
        return generation

    apply_registry("demo_v1")
    stage.wait_for_condition(name, "Ready", "True")
    promoted = apply_registry("demo_v2")
    stage.wait_for_condition(name, "Ready", "True", mentions="demo_v2")

    # Pictures in fog, at night and out of focus, and other subjects, in random order.
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
    assert event_messages(stage, name, "DriftRollback") == [status["rollback"]["why"]]

    # The registry is mirrored again, without a change or with one that is not about the model: the rollback stays.
    assert apply_registry("demo_v2") == promoted
    generation = apply_registry("demo_v2", alarmDrop=0.11)
    still = stage.wait_for_condition(name, "RegistryDiverged", "True")
    assert still["observedGeneration"] == generation > promoted
    assert stage.resource(name)["status"]["rollback"] == status["rollback"]
    answers = [stage.pod_answer(pod, "/v1/identity") for pod in stage.pods(name)]
    assert [answer["model"]["name"] for answer in answers] == ["demo_v1"]

    apply_registry("demo_v1")
    stage.wait_for_condition(name, "RegistryDiverged", "False")
    stage.wait_for_condition(name, "Stalled", "False")
    assert "rollback" not in stage.resource(name)["status"]


def event_messages(stage: Stage, name: str, reason: str) -> list[str]:
    """Return the messages of the Events about a resource with one reason."""
    events = stage.kubectl.get("events", "--field-selector", f"involvedObject.name={name},reason={reason}")["items"]
    return [event["message"] for event in events]
