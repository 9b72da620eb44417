"""Events and lists update the cache and queue the resources concerned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from support.pods import pod_manifest
from support.virtual_time import VirtualClock

from cetacean_operator.api.kinds import MODELS, PODS
from cetacean_operator.api.observed import CetaceanModel
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.decisions.plan import EventSpec
from cetacean_operator.kube.json_reader import UnreadableObject
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.cache_updater import CacheUpdater
from cetacean_operator.reconcile.queue import WorkQueue


class World:
    def __init__(self) -> None:
        self.clock, self.store, self.metrics = VirtualClock(), Store(owner_of), Metrics()
        self.queue: WorkQueue[Key] = WorkQueue(self.clock)
        self.events: list[tuple[str, EventSpec]] = []
        self.cache = CacheUpdater(self.store, self.queue, self.metrics, record=self.record)

    def record(self, resource: CetaceanModel, events: Iterable[EventSpec]) -> None:
        self.events += [(f"{resource.namespace}/{resource.name} {resource.uid}", event) for event in events]

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
    pod = pod_manifest(name, version=version, labels=labels)
    return {"type": kind, "object": {"metadata": pod["metadata"], "spec": {"containers": ["x" * 1000]}}}


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
    assert record.__dict__["reason"] == "UnreadableObject"
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


def unreadable(name: str, version: str = "5") -> UnreadableObject:
    return UnreadableObject("sea" if name else "", name, "u" if name else "", version, "nested too deep")


def test_an_unreadable_resource_is_named_in_log_metric_and_event_once_for_each_version(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("5", "5", "6"):
        world.cache.report_unreadable(MODELS, unreadable("whales", version))
    assert [record.getMessage() for record in caplog.records] == [
        "CetaceanModel sea/whales cannot be read and is left out: nested too deep"
    ] * 2
    labels = {"resource": "cetaceanmodels"}
    assert world.metrics.registry.get_sample_value("cetacean_operator_unreadable_objects_total", labels) == 2
    assert [about for about, _ in world.events] == ["sea/whales u"] * 2
    assert {(event.type, event.reason) for _, event in world.events} == {("Warning", "UnreadableObject")}


async def test_an_unreadable_resource_keeps_its_last_readable_state(world: World) -> None:
    world.cache.store_event(MODELS, event("ADDED", name="whales"))
    await world.take_due()
    world.cache.report_unreadable(MODELS, unreadable("whales"))
    assert world.store.keys("CetaceanModel") == [("sea", "whales")]
    assert await world.take_due() == []


def test_an_object_without_a_readable_name_is_counted_and_has_no_event(world: World) -> None:
    world.cache.report_unreadable(MODELS, unreadable(""))
    world.cache.report_unreadable(PODS, unreadable("p"))
    assert world.events == []


def test_a_pod_is_stored_without_the_fields_that_nobody_reads(world: World) -> None:
    large = event("ADDED")
    large["object"]["metadata"]["annotations"] = {"note": "x" * 200_000, "ecomarineai.org/rollout-id": "r"}
    world.cache.store_event(PODS, large)
    found = world.store.get("Pod", "sea", "p")
    assert found is not None
    assert "spec" not in found
    assert found["metadata"]["annotations"] == {"ecomarineai.org/rollout-id": "r"}


def test_an_event_is_known_up_to_the_stored_version_unless_it_is_a_deletion(world: World) -> None:
    world.cache.store_event(PODS, event("ADDED", 5))
    assert [world.cache.is_known(PODS, event("MODIFIED", version)) for version in (4, 5, 6)] == [True, True, False]
    assert not world.cache.is_known(PODS, event("DELETED", 5))
    assert not world.cache.is_known(PODS, event("ADDED", 1, name="other"))


async def test_a_change_that_no_decision_reads_is_stored_and_queues_nothing(world: World) -> None:
    world.cache.store_event(PODS, event("ADDED"))
    await world.take_due()
    scheduled = event("MODIFIED", 2)
    scheduled["object"]["status"] = {"conditions": [{"type": "PodScheduled", "status": "True"}]}
    world.cache.store_event(PODS, scheduled)
    assert (await world.take_due(), world.store.version("Pod", "sea", "p")) == ([], 2)
    scheduled["object"]["metadata"] |= {"resourceVersion": "3", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.cache.store_event(PODS, scheduled)
    assert await world.take_due() == [("sea", "whales")]
    world.cache.store_event(PODS, {**scheduled, "type": "DELETED"})
    assert (await world.take_due(), world.store.get("Pod", "sea", "p")) == ([], None)
