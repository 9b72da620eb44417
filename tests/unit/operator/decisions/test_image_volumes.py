"""The condition ImageVolumesUnsupported."""

from __future__ import annotations

import pytest
from support.operator_world import World, entry, manifest, model

from cetacean_operator.api import names
from cetacean_operator.api.spec import AntiFraud
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.image_volumes import judge_image_volumes

IMAGE = f"oci://registry.test/whales/demo@sha256:{'a' * 64}"


TOO_OLD = (
    "the weights are in an image, and image volumes are stable since Kubernetes 1.36, got {}: "
    "the pods start only if the feature gate ImageVolume is on, in the API server and on the nodes"
)


@pytest.mark.parametrize(
    ("kubernetes", "expected"),
    [
        ((1, 4), ("True", "KubernetesTooOld", TOO_OLD.format("1.4"))),
        ((1, 35), ("True", "KubernetesTooOld", TOO_OLD.format("1.35"))),
        ((1, 36), ("False", "Supported", "Kubernetes 1.36 mounts images as volumes")),
        ((2, 0), ("False", "Supported", "Kubernetes 2.0 mounts images as volumes")),
        (None, ("Unknown", "VersionUnknown", "image volumes are stable since Kubernetes 1.36")),
    ],
    ids=str,
)
def test_weights_in_an_image_need_a_cluster_that_mounts_images(
    kubernetes: tuple[int, int] | None, expected: tuple[str, str, str]
) -> None:
    rollout = rollout_of(model("first", weightsUrl=IMAGE), AntiFraud())
    assert judge_image_volumes(rollout, kubernetes) == expected


@pytest.mark.parametrize(
    ("kubernetes", "state"),
    [
        ((1, 35), ("True", "KubernetesTooOld")),
        ((1, 36), ("False", "Supported")),
        (None, ("Unknown", "VersionUnknown")),
    ],
    ids=str,
)
def test_the_status_has_the_condition(kubernetes: tuple[int, int] | None, state: tuple[str, str]) -> None:
    world = World(manifest(entry("first", weightsUrl=IMAGE)), kubernetes=kubernetes)
    world.settle()
    assert world.is_(names.IMAGE_VOLUMES_UNSUPPORTED) == state


def test_a_resource_without_images_has_no_such_condition() -> None:
    world = World(manifest(entry("first")), kubernetes=(1, 30))
    world.settle()
    assert world.status.condition(names.IMAGE_VOLUMES_UNSUPPORTED) is None


def test_an_image_of_the_gate_counts_too() -> None:
    gate = {"model": {"weightsURL": f"{IMAGE}/gate.safetensors"}}
    world = World(manifest(entry("first"), antiFraud=gate), kubernetes=(1, 35))
    world.settle()
    assert world.status.condition(names.IMAGE_VOLUMES_UNSUPPORTED) is not None


def test_the_condition_names_the_next_step_and_the_section_of_the_runbook() -> None:
    world = World(manifest(entry("first", weightsUrl=IMAGE)), kubernetes=(1, 35))
    world.settle()
    condition = world.status.condition(names.IMAGE_VOLUMES_UNSUPPORTED)
    assert condition is not None
    assert ". Next: update the cluster, " in condition.message
    assert condition.message.endswith("runbook: docs/runbook.md#image-volumes-unsupported")


def image_events(world: World) -> list[tuple[str, str]]:
    world.settle()
    return [(event.type, event.reason) for event in world.events if event.reason.startswith("ImageVolumes")]


def test_events_say_when_a_cluster_is_too_old_and_when_it_no_longer_is() -> None:
    world = World(manifest(entry("first", weightsUrl=IMAGE)), kubernetes=(1, 35))
    warned = [("Warning", "ImageVolumesUnsupported")]
    assert image_events(world) == warned
    assert image_events(world) == warned, "said once is enough"
    world.kubernetes = (1, 36)
    assert image_events(world) == [*warned, ("Normal", "ImageVolumesSupported")]


def test_a_version_that_is_not_known_any_more_is_no_end() -> None:
    world = World(manifest(entry("first", weightsUrl=IMAGE)), kubernetes=(1, 35))
    world.settle()
    world.kubernetes = None
    assert image_events(world) == [("Warning", "ImageVolumesUnsupported")]


@pytest.mark.parametrize("kubernetes", [(1, 36), None])
def test_a_cluster_that_mounts_images_or_has_no_known_version_has_no_event(kubernetes: tuple[int, int] | None) -> None:
    assert image_events(World(manifest(entry("first", weightsUrl=IMAGE)), kubernetes=kubernetes)) == []
