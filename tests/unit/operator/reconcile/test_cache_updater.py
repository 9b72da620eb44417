"""Events and lists update the cache and queue the resources concerned."""

from __future__ import annotations

from typing import Any

import pytest
from support.virtual_time import VirtualClock

from cetacean_operator.kube.resources import MODELS, PODS
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.cache_updater import CacheUpdater
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import owner_of


class World:
    def __init__(self) -> None:
        self.clock, self.store, self.metrics = VirtualClock(), Store(owner_of), Metrics()
        self.queue: WorkQueue[Key] = WorkQueue(self.clock)
        self.cache = CacheUpdater(self.store, self.queue, self.metrics)

    async def take_due(self) -> list[Key]:
        """Return all keys that are due within 0.2 s."""
        self.clock.advance(0.2)
        keys = []
        while len(self.queue):
            keys.append(await self.queue.take())
            self.queue.done(keys[-1])
        return keys

    def repairs(self) -> float | None:
        return self.metrics.registry.get_sample_value("cetacean_operator_cache_repairs_total", {"resource": "pods"})


@pytest.fixture
def world() -> World:
    return World()


def event(kind: str | None, version: int = 1, *, owner: str | None = "whales", name: str = "p") -> dict[str, Any]:
    labels = {"ecomarineai.org/cetaceanmodel": owner} if owner else {}
    meta = {"namespace": "sea", "name": name, "uid": name, "resourceVersion": str(version), "labels": labels}
    return {"type": kind, "object": {"metadata": meta}}


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_an_event_stores_the_object_and_queues_its_resource(world: World, kind: str | None) -> None:
    world.cache.store_event(PODS, event(kind))
    assert await world.take_due() == [("sea", "whales")]
    found = world.store.get("Pod", "sea", "p")
    assert found is not None
    assert found["apiVersion"] == "v1"


async def test_several_events_of_children_lead_to_one_reconcile(world: World) -> None:
    for version in range(1, 6):
        world.cache.store_event(PODS, event("MODIFIED", version))
        world.clock.advance(0.01)
        assert len(world.queue) == 0
    assert await world.take_due() == [("sea", "whales")]


async def test_a_changed_spec_goes_before_a_status_change(world: World) -> None:
    for version, (name, seen) in enumerate((("seen", 2), ("changed", 1)), start=2):
        obj = event("MODIFIED", version, name=name)["object"] | {"status": {"observedGeneration": seen}}
        obj["metadata"] |= {"generation": 2}
        world.cache.store_event(MODELS, {"type": "MODIFIED", "object": obj})
    assert await world.take_due() == [("sea", "changed"), ("sea", "seen")]


async def test_an_event_with_a_known_version_queues_nothing(world: World) -> None:
    world.cache.store_event(PODS, event("ADDED"))
    await world.take_due()
    world.cache.store_event(PODS, event("MODIFIED"))
    assert await world.take_due() == []


async def test_a_deletion_removes_the_object_and_queues_its_resource(world: World) -> None:
    world.cache.store_event(PODS, event("ADDED"))
    await world.take_due()
    world.cache.store_event(PODS, event("DELETED"))
    assert await world.take_due() == [("sea", "whales")]
    assert world.store.get("Pod", "sea", "p") is None


async def test_objects_without_our_label_queue_nothing(world: World) -> None:
    world.cache.store_event(PODS, event("ADDED", owner=None))
    assert await world.take_due() == []


def test_an_unreadable_object_is_logged_and_not_stored(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.cache.store_event(PODS, {"type": "ADDED", "object": {"metadata": {"name": "p"}}})
    (record,) = caplog.records
    assert record.__dict__["reason"] == "BadObject"
    assert len(world.store) == 0


async def test_a_list_removes_an_object_whose_deletion_the_watch_missed(world: World) -> None:
    for name in ("gone", "stays"):
        world.cache.store_event(PODS, event("ADDED", 5, name=name))
    await world.take_due()
    world.cache.replace(PODS, None, {("sea", "stays")}, "9")
    assert world.store.keys("Pod") == [("sea", "stays")]
    assert await world.take_due() == [("sea", "whales")]
    assert world.repairs() == 1
    world.cache.replace(PODS, None, {("sea", "stays")}, "12")
    assert (await world.take_due(), world.repairs()) == ([], 1)


def test_an_object_that_is_newer_than_the_list_stays(world: World) -> None:
    world.cache.store_event(PODS, event("ADDED", 10))
    world.cache.replace(PODS, None, set(), "9")
    assert world.store.keys("Pod") == [("sea", "p")]


def test_an_object_that_was_deleted_during_the_list_stays_deleted(world: World) -> None:
    world.cache.store_event(PODS, event("DELETED", 12))
    world.cache.store_event(PODS, event(None, 8))
    world.cache.replace(PODS, None, {("sea", "p")}, "9")
    assert world.store.keys("Pod") == []


def test_a_list_of_one_namespace_removes_nothing_in_others(world: World) -> None:
    world.cache.store_event(PODS, event("ADDED"))
    world.cache.replace(PODS, "land", set(), "9")
    assert world.store.keys("Pod") == [("sea", "p")]
