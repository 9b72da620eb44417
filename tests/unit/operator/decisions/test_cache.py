"""The weights cache stays below the limit of its volume."""

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
    """The limit that each container gets."""
    return [
        [item["value"] for item in container["env"] if item["name"] == VARIABLE]
        for container in (*spec["initContainers"], *spec["containers"])
    ]


def cache_volume(spec: dict[str, Any]) -> dict[str, Any]:
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "weights"]
    return {key: value for key, value in volume.items() if key != "name"}


def test_the_cache_has_no_limit_unless_the_resource_sets_one() -> None:
    spec = pod()
    assert cache_volume(spec) == {"emptyDir": {}}
    assert limits(spec) == [[], []]


@pytest.mark.parametrize(
    ("size", "limit"),
    [("2Gi", "2040109465"), ("1G", "950000000"), (1_000_000, "950000"), ("1500m", "1"), ("0", "1")],
)
def test_both_containers_get_a_limit_below_that_of_the_volume(size: str | int, limit: str) -> None:
    spec = pod(weightsCache={"sizeLimit": size})
    assert cache_volume(spec) == {"emptyDir": {"sizeLimit": size}}
    assert limits(spec) == [[limit], [limit]]


def test_a_limit_in_the_resources_env_is_kept() -> None:
    own = [{"name": VARIABLE, "value": "7"}]
    assert limits(pod(weightsCache={"sizeLimit": "2Gi"}, env=own)) == [["7"], ["7"]]


SHARED = "CETACEAN_FETCH__SHARED_CACHE"


@pytest.mark.parametrize(
    ("cache", "shared"),
    [
        (None, False),
        ({"sizeLimit": "2Gi"}, False),
        ({"persistentVolumeClaim": {"claimName": "weights"}}, True),
        ({"persistentVolumeClaim": {"claimName": "weights"}, "trusted": False}, True),
        ({"persistentVolumeClaim": {"claimName": "weights"}, "trusted": True}, False),
    ],
    ids=str,
)
def test_pods_that_share_a_claim_trust_it_only_if_the_resource_says_so(
    cache: dict[str, Any] | None, *, shared: bool
) -> None:
    spec = pod(weightsCache=cache) if cache else pod()
    for container in (*spec["initContainers"], *spec["containers"]):
        env = {item["name"]: item["value"] for item in container["env"]}
        assert env.get(SHARED) == ("true" if shared else None)


def test_a_claim_has_no_limit() -> None:
    spec = pod(weightsCache={"persistentVolumeClaim": {"claimName": "weights"}})
    assert cache_volume(spec) == {"persistentVolumeClaim": {"claimName": "weights"}}
    assert limits(spec) == [[], []]
