"""A HorizontalPodAutoscaler adds pods under traffic, and nobody fights with it over their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from demo.stage import Stage
from demo.traffic import BackgroundTraffic
from demo.waiting import until

NAME = "autoscaled"
# The field's are 3 and 10, which this node has no room for.
SCALING = {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 70}


@pytest.fixture(scope="module")
def scaled(stage: Stage, request: pytest.FixtureRequest) -> Iterator[None]:
    """A model with an autoscaler, and the metrics API."""
    stage.kubectl.apply(stage.manifest(NAME, active="demo_v1", replicas=3, serving={"autoscaling": SCALING}))
    request.getfixturevalue("metrics")  # while the model loads
    stage.wait_for_condition(NAME, "Ready", "True")
    yield
    stage.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")


def _counts(stage: Stage) -> tuple[int, ...]:
    status = stage.resource(NAME)["status"]
    return tuple(status[name] for name in ("replicas", "readyReplicas", "activeReplicas"))


def _wanted(stage: Stage) -> int:
    return int(stage.kubectl.get("deployment", NAME)["spec"]["replicas"])


def _scaled_by(stage: Stage) -> set[str]:
    """Who owns the Deployment's number of replicas."""
    deployment: dict[str, Any] = stage.kubectl.get("deployment", NAME, "--show-managed-fields")
    return {
        entry["manager"]
        for entry in deployment["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


def _told(stage: Stage, reason: str) -> list[str]:
    """What the autoscaler's Events of one kind say."""
    chosen = f"involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={NAME},reason={reason}"
    return [event["message"] for event in stage.kubectl.get("events", "--field-selector", chosen)["items"]]


@pytest.mark.usefixtures("scaled")
def test_traffic_adds_a_pod_and_nobody_takes_it_away(stage: Stage) -> None:
    assert _counts(stage) == (1, 1, 1)
    assert "cetacean-operator" not in _scaled_by(stage)

    with BackgroundTraffic(stage.service(NAME), stage.models.cetaceans, interval=0.02) as traffic:
        until("the autoscaler to want a second pod", lambda: _wanted(stage) == 2)
        until("both to serve", lambda: _counts(stage) == (2, 2, 2))
    assert traffic.failures == []
    stage.wait_for_condition(NAME, "Ready", "True", mentions="2 of 2 wanted replicas")
    stage.wait_for_condition(NAME, "AutoscalingInactive", "False", mentions="between 1 and 2 pods at 70 %")
    (why,) = _told(stage, "SuccessfulRescale")
    assert why == "New size: 2; reason: cpu resource utilization (percentage of request) above target"
    assert "serve" in stage.kubectl("top", "pods", "-l", f"ecomarineai.org/cetaceanmodel={NAME}", "--containers")
    assert "cetacean-operator" not in _scaled_by(stage)


@pytest.mark.usefixtures("scaled")
def test_what_people_scale_is_the_autoscalers(stage: Stage) -> None:
    assert _wanted(stage) == 2
    # At the resource: noted for later, and of no effect now.
    stage.kubectl("scale", f"cetaceanmodel/{NAME}", "--replicas=1")
    stage.wait_for_condition(NAME, "Ready", "True", mentions="2 of 2 wanted replicas")
    # At the Deployment: the autoscaler, which goes down by what it has seen in five minutes, takes it back.
    before = stage.kubectl.get("horizontalpodautoscaler", NAME)["status"]["lastScaleTime"]
    stage.kubectl("scale", f"deployment/{NAME}", "--replicas=1")
    until(
        "the autoscaler to take its number back",
        lambda: stage.kubectl.get("horizontalpodautoscaler", NAME)["status"]["lastScaleTime"] != before,
    )
    assert _wanted(stage) == 2


@pytest.mark.usefixtures("scaled")
def test_without_an_autoscaler_the_resource_says_how_many(stage: Stage) -> None:
    stage.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec": {"serving": {"autoscaling": null}}}')
    until("the operator to have its number back", lambda: _scaled_by(stage) == {"cetacean-operator"})
    stage.wait_for_condition(NAME, "Ready", "True", mentions="1 of 1 wanted replicas")
    assert _wanted(stage) == 1
    assert stage.condition(NAME, "AutoscalingInactive") == {}
    assert not stage.kubectl.get("horizontalpodautoscalers", "--field-selector", f"metadata.name={NAME}")["items"]
