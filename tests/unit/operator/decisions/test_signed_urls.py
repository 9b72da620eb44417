"""The query of a URL may be a signature: nothing that the operator writes beside the pods' variables contains it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.operator_world import SURE, World, entry, manifest

SIGNED = "https://example.org/first.ckpt?X-Signature=s3cret&part=1"


def signed(name: str = "first", digit: str | None = "a", url: str = SIGNED, **changes: Any) -> dict[str, Any]:
    return entry(name, digit, weightsUrl=url, **changes)


def weights_urls(world: World) -> set[str]:
    return {pod.env["CETACEAN_MODEL__WEIGHTS_URL"] for pod in world.pods}


@pytest.mark.parametrize("digit", ["a", None])
def test_neither_status_nor_annotations_nor_events_contain_the_query(digit: str | None) -> None:
    world = World(
        manifest(
            signed("first", digit, metrics=SURE), entry("second", "b", metrics=SURE), drift={"onAlarm": "Rollback"}
        )
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.activate("first")
    world.settle()
    world.fail_identification()  # a rollback names the rejected URL too
    assert world.status.rollback is not None
    assert world.deployment is not None
    written = [world.obj["status"], world.obj["metadata"], world.deployment["metadata"], world.events]
    assert "s3cret" not in json.dumps(written, default=str)
    assert "example.org/first.ckpt" in json.dumps(world.obj["status"]), "the address is there"


@pytest.mark.parametrize("digit", ["a", None])
def test_a_model_that_the_registry_drops_goes_on_with_its_own_url(digit: str | None) -> None:
    world = World(manifest(signed("first", digit)))
    world.settle()
    before = [pod.number for pod in world.pods]
    world.models(entry("second", "b", metrics={"tpr": 0.1}), active="second")  # the gate refuses it
    world.settle()
    assert world.deployed == "first"
    assert [pod.number for pod in world.pods] == before
    assert weights_urls(world) == {SIGNED}
    world.edit(antiFraud={"threshold": 0.3})
    world.settle()
    assert {pod.env["CETACEAN_GATE__THRESHOLD"] for pod in world.pods} == {"0.3"}
    assert weights_urls(world) == {SIGNED}


def test_without_a_digest_another_query_is_another_model() -> None:
    world = World(manifest(signed("first", None)))
    world.settle()
    world.models(signed("first", None, SIGNED.replace("part=1", "part=2"), metrics={"tpr": 0.1}))
    world.settle()
    assert world.is_("GatePassed") == ("False", "GateRefused")
    assert weights_urls(world) == {SIGNED}


def test_with_a_digest_a_new_signature_needs_no_gate() -> None:
    world = World(manifest(signed()))
    world.settle()
    renewed = SIGNED.replace("s3cret", "renewed")
    world.models(signed(url=renewed, metrics={"tpr": 0.1}))
    world.settle()
    assert world.is_("Ready") == ("True", "Serving")
    assert weights_urls(world) == {renewed}


def test_a_dropped_model_whose_url_had_a_query_is_not_rolled_back_to() -> None:
    world = World(manifest(signed(metrics=SURE), entry("second", "b", metrics=SURE), drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.models(entry("second", "b", metrics=SURE))
    world.fail_identification()
    assert world.deployed == "second"
    assert "no rollback: the registry no longer has first 1.0.0" in world.condition("Drifting").message
