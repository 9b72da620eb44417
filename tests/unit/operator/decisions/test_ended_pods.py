"""Pods that have failed, were evicted or have completed stay behind for a while, and count nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import World, entry, manifest
from support.pods import pod_manifest

from cetacean_operator.api.observed import CetaceanModel, Pod
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.plan import Plan
from cetacean_operator.pods.observed_pods import observed_pod, without_unused_fields

ENDED: dict[str, dict[str, Any]] = {
    "evicted": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
    "failed": {
        "phase": "Failed",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "serve",
                "state": {"terminated": {"exitCode": 1, "message": "DigestMismatch: u"}},
                "restartCount": 3,
            }
        ],
    },
    "completed": {
        "phase": "Succeeded",
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}],
    },
}


def ended_pod(world: World, status: dict[str, Any]) -> Pod:
    """Return a pod of the rollout in the Deployment that has ended so."""
    assert world.deployment is not None
    annotations = world.deployment["spec"]["template"]["metadata"]["annotations"]
    return observed_pod(
        without_unused_fields(pod_manifest("old", annotations=annotations, status=status)), None, None, None
    )


def decision(world: World, *more: Pod) -> Plan:
    observed = world.observed()
    return decide(CetaceanModel.of(world.obj), replace(observed, pods=(*observed.pods, *more)), world.now)


@pytest.mark.parametrize("status", ENDED.values(), ids=ENDED)
def test_a_pod_that_has_ended_changes_no_status(status: dict[str, Any]) -> None:
    world = World(manifest(serving={"replicas": 2}))
    world.settle()
    assert decision(world, *[ended_pod(world, status)] * 3) == decision(world)


@pytest.mark.parametrize("status", ENDED.values(), ids=ENDED)
def test_a_pod_that_has_ended_is_no_failure_of_a_rollout_that_goes_on(status: dict[str, Any]) -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    world.behave = lambda _pod: None
    world.activate("second")
    world.settle()
    assert world.is_("Ready") == ("False", "RollingOut")
    assert decision(world, ended_pod(world, status)) == decision(world)
