"""A HorizontalPodAutoscaler adds pods under traffic, and the operator leaves their number to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.traffic import BackgroundTraffic
from cetacean_tools.demo.waiting import until

NAME = "autoscaled"
# The defaults are 3 and 10, for which this node is too small.
SCALING = {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 70}


@pytest.fixture(scope="module")
def scaled(environment: Environment, request: pytest.FixtureRequest) -> Iterator[None]:
    """A model with an autoscaler, and the metrics API."""
    environment.kubectl.apply(
        environment.manifest(NAME, active="demo_v1", replicas=3, serving={"autoscaling": SCALING})
    )
    request.getfixturevalue("metrics")  # while the model loads
    environment.wait_for_condition(NAME, "Ready", "True")
    yield
    environment.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")


def _counts(environment: Environment) -> tuple[int, ...]:
    status = environment.resource(NAME)["status"]
    return tuple(status[name] for name in ("replicas", "readyReplicas", "activeReplicas"))


def _wanted(environment: Environment) -> int:
    return int(environment.kubectl.get("deployment", NAME)["spec"]["replicas"])


def _scaled_by(environment: Environment) -> set[str]:
    """Return the field managers that own the Deployment's number of replicas."""
    deployment: dict[str, Any] = environment.kubectl.get("deployment", NAME, "--show-managed-fields")
    return {
        entry["manager"]
        for entry in deployment["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


def _event_messages(environment: Environment, reason: str) -> list[str]:
    """Return the messages of the autoscaler's Events with one reason."""
    chosen = f"involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={NAME},reason={reason}"
    return [event["message"] for event in environment.kubectl.get("events", "--field-selector", chosen)["items"]]


@pytest.mark.usefixtures("scaled")
def test_traffic_adds_a_pod_and_the_operator_keeps_it(environment: Environment) -> None:
    assert _counts(environment) == (1, 1, 1)
    assert "cetacean-operator" not in _scaled_by(environment)

    with BackgroundTraffic(environment.service(NAME), environment.models.cetaceans, interval=0.02) as traffic:
        until("the autoscaler to want a second pod", lambda: _wanted(environment) == 2)
        until("both to serve", lambda: _counts(environment) == (2, 2, 2))
    assert traffic.failures == []
    environment.wait_for_condition(NAME, "Ready", "True", mentions="2 of 2 wanted replicas")
    environment.wait_for_condition(NAME, "AutoscalingInactive", "False", mentions="between 1 and 2 pods at 70 %")
    (message,) = _event_messages(environment, "SuccessfulRescale")
    assert message == "New size: 2; reason: cpu resource utilization (percentage of request) above target"
    assert "serve" in environment.kubectl("top", "pods", "-l", f"ecomarineai.org/cetaceanmodel={NAME}", "--containers")
    assert "cetacean-operator" not in _scaled_by(environment)


@pytest.mark.usefixtures("scaled")
def test_the_autoscaler_overrides_a_scale_by_hand(environment: Environment) -> None:
    assert _wanted(environment) == 2
    # At the resource: noted for later, and of no effect now.
    environment.kubectl("scale", f"cetaceanmodel/{NAME}", "--replicas=1")
    environment.wait_for_condition(NAME, "Ready", "True", mentions="2 of 2 wanted replicas")
    # At the Deployment: the autoscaler, which goes down by what it has seen in five minutes, takes it back.
    before = environment.kubectl.get("horizontalpodautoscaler", NAME)["status"]["lastScaleTime"]
    environment.kubectl("scale", f"deployment/{NAME}", "--replicas=1")
    until(
        "the autoscaler to take its number back",
        lambda: environment.kubectl.get("horizontalpodautoscaler", NAME)["status"]["lastScaleTime"] != before,
    )
    assert _wanted(environment) == 2


@pytest.mark.usefixtures("scaled")
def test_without_an_autoscaler_the_resource_sets_the_number_of_pods(environment: Environment) -> None:
    environment.kubectl(
        "patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec": {"serving": {"autoscaling": null}}}'
    )
    until("the operator to have its number back", lambda: _scaled_by(environment) == {"cetacean-operator"})
    environment.wait_for_condition(NAME, "Ready", "True", mentions="1 of 1 wanted replicas")
    assert _wanted(environment) == 1
    assert environment.condition(NAME, "AutoscalingInactive") == {}
    assert not environment.kubectl.get("horizontalpodautoscalers", "--field-selector", f"metadata.name={NAME}")["items"]
