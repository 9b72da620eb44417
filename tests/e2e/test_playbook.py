"""What the runbook leaves to the operator: drift rolls a model back, once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

import pytest

from demo.stage import DRIFT, Stage
from demo.waiting import until

SAMPLES = 110


@pytest.fixture
def name(stage: Stage, request: pytest.FixtureRequest) -> Iterator[str]:
    chosen = request.node.name.replace("_", "-").removeprefix("test-")[:40]
    yield chosen
    stage.kubectl("delete", "cetaceanmodel", chosen, "--ignore-not-found", "--wait=false")


def test_drift_rolls_back_once(stage: Stage, name: str) -> None:
    drift = {**DRIFT, "onAlarm": "Rollback"}
    stage.kubectl.apply(stage.manifest(name, active="demo_v1", replicas=1, drift=drift))
    stage.wait_for_condition(name, "Ready", "True")
    promoted = stage.manifest(name, active="demo_v2", replicas=1, drift=drift)
    stage.kubectl.apply(promoted)
    stage.wait_for_condition(name, "Ready", "True", mentions="demo_v2")

    stage.service(name).send(list(islice(cycle(stage.models.drifted), SAMPLES)))
    diverged = stage.wait_for_condition(name, "RegistryDiverged", "True")
    assert "demo_v2" in diverged["message"]
    until(
        "the model that served before to serve again",
        lambda: stage.resource(name)["status"].get("serving", {}).get("name") == "demo_v1",
    )
    status = stage.resource(name)["status"]
    assert status["rollback"]["rejected"]["name"] == "demo_v2"
    assert status["rollback"]["restored"]["name"] == "demo_v1"
    assert status["history"][0]["reason"] == "DriftRollback"
    assert stage.condition(name, "Stalled")["status"] == "True"

    # The next mirroring of the registry brings the same spec: the rejected version does not come back.
    generation = stage.resource(name)["metadata"]["generation"]
    stage.kubectl.apply(promoted)
    assert stage.resource(name)["metadata"]["generation"] == generation
    assert stage.condition(name, "RegistryDiverged")["status"] == "True"

    stage.kubectl.apply(stage.manifest(name, active="demo_v1", replicas=1, drift=drift))
    stage.wait_for_condition(name, "RegistryDiverged", "False")
    stage.wait_for_condition(name, "Stalled", "False")
