"""What lies in the cache of weights never outgrows the volume that it lies in."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import World, entry, manifest

VARIABLE = "CETACEAN_FETCH__CACHE_LIMIT_BYTES"


def pod(**serving: Any) -> dict[str, Any]:
    world = World(manifest(entry("first"), serving=serving))
    world.settle()
    assert world.deployment is not None
    spec: dict[str, Any] = world.deployment["spec"]["template"]["spec"]
    return spec


def limits(spec: dict[str, Any]) -> list[list[str]]:
    """What each container is told."""
    return [
        [item["value"] for item in container["env"] if item["name"] == VARIABLE]
        for container in (*spec["initContainers"], *spec["containers"])
    ]


def cache_volume(spec: dict[str, Any]) -> dict[str, Any]:
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "weights"]
    return {key: value for key, value in volume.items() if key != "name"}


def test_nothing_bounds_it_unless_the_resource_does() -> None:
    spec = pod()
    assert cache_volume(spec) == {"emptyDir": {}}
    assert limits(spec) == [[], []]


@pytest.mark.parametrize(
    ("size", "told"),
    [("2Gi", "2040109465"), ("1G", "950000000"), (1_000_000, "950000"), ("1500m", "1"), ("0", "1")],
)
def test_both_containers_keep_within_the_volume(size: str | int, told: str) -> None:
    spec = pod(weightsCache={"sizeLimit": size})
    assert cache_volume(spec) == {"emptyDir": {"sizeLimit": size}}
    assert limits(spec) == [[told], [told]]


def test_a_bound_of_the_resources_own_counts() -> None:
    own = [{"name": VARIABLE, "value": "7"}]
    assert limits(pod(weightsCache={"sizeLimit": "2Gi"}, env=own)) == [["7"], ["7"]]


def test_a_claim_is_not_the_pods_alone() -> None:
    spec = pod(weightsCache={"persistentVolumeClaim": {"claimName": "weights"}})
    assert cache_volume(spec) == {"persistentVolumeClaim": {"claimName": "weights"}}
    assert limits(spec) == [[], []]
