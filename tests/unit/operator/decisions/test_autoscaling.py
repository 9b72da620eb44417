"""An autoscaler without metrics is reported once that has lasted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operator_world import World, entry, manifest
from support.pods import FakePod

from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.autoscaling import PATIENCE

KIND = "AutoscalingInactive"
NO_METRICS = "failed to get cpu utilization: unable to fetch metrics from resource metrics API"


def autoscaled() -> World:
    world = World(manifest(entry("first"), serving={"autoscaling": {"minReplicas": 1, "maxReplicas": 4}}))
    world.settle()
    return world


def says(world: World, status: str, reason: str = "FailedGetResourceMetric", message: str = NO_METRICS) -> None:
    """Write a condition into the autoscaler's status, as its controller does."""
    condition = {"type": "ScalingActive", "status": status, "reason": reason, "message": message}
    condition["lastTransitionTime"] = timestamp(world.now)
    world.children["HorizontalPodAutoscaler", "whales"]["status"] = {"conditions": [condition]}
    world.settle()


def test_without_an_autoscaler_there_is_no_condition() -> None:
    world = World()
    world.settle()
    assert world.status.condition(KIND) is None


def test_the_condition_is_unknown_until_the_autoscaler_has_reported() -> None:
    world = autoscaled()
    assert world.is_(KIND) == ("Unknown", "NotSeenYet")
    assert world.condition(KIND).message == "the autoscaler has not reported yet"


def test_a_working_autoscaler_makes_the_condition_false() -> None:
    world = autoscaled()
    says(world, "True", "ValidMetricFound", "the HPA was able to successfully calculate a replica count")
    assert world.is_(KIND) == ("False", "ScalingActive")
    assert world.condition(KIND).message == "the autoscaler keeps between 1 and 4 pods at 70 % of the requested CPU"
    assert world.decide().requeue_after is None


def test_an_autoscaler_without_metrics_is_reported_once_after_two_minutes() -> None:
    world = autoscaled()
    says(world, "False")
    assert world.is_(KIND) == ("Unknown", "FailedGetResourceMetric")
    assert world.decide().requeue_after == PATIENCE
    world.wait(seconds=PATIENCE - 20)
    world.settle()
    assert world.is_(KIND)[0] == "Unknown"
    assert world.decide().requeue_after == 20
    world.wait(seconds=20)
    world.settle()
    assert world.is_(KIND) == ("True", "FailedGetResourceMetric")
    assert world.condition(KIND).message.startswith(f"{NO_METRICS}. Next: check that the metrics API is served")
    assert world.is_("Ready") == ("True", "Serving"), "all that are wanted serve"
    world.wait(hours=1)
    world.settle()
    assert world.reasons.count(KIND) == 1
    says(world, "True", "ValidMetricFound", "found")
    assert world.is_(KIND) == ("False", "ScalingActive")
    assert world.reasons.count("AutoscalingActive") == 1


def test_an_autoscaler_waits_for_metrics_of_pods_that_are_not_ready() -> None:
    """Weights may take longer to load than figures to come."""

    def loads(pod: FakePod) -> None:
        pod.ready = False

    world = World(manifest(serving={"autoscaling": {"minReplicas": 1}}), behave=loads)
    world.settle()
    says(world, "False")
    world.wait(minutes=10)
    world.settle()
    assert world.is_(KIND)[0] == "Unknown"
    world.pods[0].ready = True
    world.settle()
    assert world.is_("Available")[0] == "True"
    assert world.is_(KIND)[0] == "Unknown", "it has only just become ready"
    assert world.decide().requeue_after == PATIENCE
    world.wait(seconds=PATIENCE)
    world.settle()
    assert world.is_(KIND)[0] == "True"


def test_an_autoscaler_that_was_switched_off_by_hand_is_no_alarm() -> None:
    world = autoscaled()
    assert world.deployment is not None
    world.deployment["spec"]["replicas"] = 0
    world.pods.clear()
    says(world, "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
    world.wait(hours=1)
    world.reconcile()
    assert world.is_(KIND) == ("Unknown", "ScalingDisabled")


def test_the_condition_is_removed_with_the_autoscaler() -> None:
    world = autoscaled()
    says(world, "False")
    world.wait(hours=1)
    world.settle()
    assert world.is_(KIND)[0] == "True"
    world.edit(serving={"autoscaling": None, "replicas": 2})
    world.settle()
    assert world.status.condition(KIND) is None
    assert world.is_("Ready") == ("True", "Serving")
    assert len(world.pods) == 2


def test_what_the_autoscaler_does_not_know_is_no_alarm() -> None:
    world = autoscaled()
    says(world, "Unknown")
    world.wait(hours=1)
    world.settle()
    assert world.is_(KIND) == ("Unknown", "FailedGetResourceMetric")
    assert world.decide().requeue_after is None


@settings(max_examples=40)
@given(waits=st.lists(st.floats(0, 200), max_size=6))
def test_the_condition_is_true_exactly_after_two_minutes(waits: list[float]) -> None:
    world = autoscaled()
    says(world, "False")
    began = world.now
    for seconds in waits:
        world.wait(seconds=seconds)
        world.settle()
        lasted = (world.now - began).total_seconds()
        assert (world.is_(KIND)[0] == "True") == (lasted >= PATIENCE)
        assert (world.decide().requeue_after is not None) == (lasted < PATIENCE)


@pytest.mark.parametrize("status", [None, {}, {"conditions": None}, {"conditions": [{"type": "AbleToScale"}]}])
def test_an_autoscaler_without_conditions_is_unknown(status: object) -> None:
    world = autoscaled()
    world.children["HorizontalPodAutoscaler", "whales"]["status"] = status
    world.settle()
    assert world.is_(KIND) == ("Unknown", "NotSeenYet")


def test_a_message_of_the_autoscaler_is_one_line_without_control_characters() -> None:
    world = autoscaled()
    says(world, "False", message="no \x1b[2J\nmetrics \u202e" + "x" * 5000)
    message = world.condition(KIND).message
    assert message.startswith("no \ufffd[2J metrics \ufffd")
    assert message.isprintable()
    assert len(message) < 1200


@pytest.mark.parametrize("reason", [" ", "\x00", "\u200b"])
def test_a_reason_without_a_letter_ends_no_decision(reason: str) -> None:
    world = autoscaled()
    says(world, "False", reason)
    world.wait(seconds=PATIENCE)
    world.settle()
    assert world.is_(KIND)[0] == "True"
