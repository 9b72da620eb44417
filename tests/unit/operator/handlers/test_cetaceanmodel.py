"""The kopf edge: events into the store, resources into the queue, and no trace of kopf in the cluster."""

from __future__ import annotations

from typing import Any, cast

import kopf
import pytest
from kubernetes.aio.client import Configuration
from support.virtual_time import VirtualClock

from cetacean_operator.handlers.cetaceanmodel import registry_for, settings_for, silence_for, take_in, taker
from cetacean_operator.handlers.watch_middleware import WatchLiveness, WatchMiddleware
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.kube.resources import CHILDREN, MODELS, PODS, SERVICE_MONITORS
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import owner_of
from cetacean_operator.settings import Settings


@pytest.fixture
def store() -> Store:
    return Store(owner_of)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def queue(clock: VirtualClock) -> WorkQueue[Key]:
    return WorkQueue(clock)


def event(kind: str | None, version: int = 1, *, owner: str | None = "whales") -> dict[str, Any]:
    labels = {"ecomarineai.org/cetaceanmodel": owner} if owner else {}
    meta = {"namespace": "sea", "name": "p", "uid": "u", "resourceVersion": str(version), "labels": labels}
    return {"type": kind, "object": {"metadata": meta}}


async def taken(queue: WorkQueue[Key]) -> list[Key]:
    """All that is due in a moment."""
    cast(VirtualClock, queue._clock).advance(0.2)
    keys = []
    while len(queue):
        keys.append(await queue.take())
        queue.done(keys[-1])
    return keys


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_news_is_stored_and_its_resource_queued(store: Store, queue: WorkQueue[Key], kind: str | None) -> None:
    take_in(PODS, event(kind), store, queue)
    assert await taken(queue) == [("sea", "whales")]
    found = store.get("Pod", "sea", "p")
    assert found is not None
    assert found["apiVersion"] == "v1"


async def test_what_a_change_brings_with_it_is_looked_at_once(
    store: Store, queue: WorkQueue[Key], clock: VirtualClock
) -> None:
    for version in range(1, 6):
        take_in(PODS, event("MODIFIED", version), store, queue)
        clock.advance(0.01)
        assert len(queue) == 0
    assert await taken(queue) == [("sea", "whales")]


async def test_what_people_change_goes_before_what_comes_of_it(store: Store, queue: WorkQueue[Key]) -> None:
    for version, (name, seen) in enumerate((("seen", 2), ("changed", 1)), start=2):
        obj = event("MODIFIED", version)["object"] | {"status": {"observedGeneration": seen}}
        obj["metadata"] |= {"name": name, "generation": 2}
        take_in(MODELS, {"type": "MODIFIED", "object": obj}, store, queue)
    assert await taken(queue) == [("sea", "changed"), ("sea", "seen")]


async def test_what_is_known_queues_nothing(store: Store, queue: WorkQueue[Key]) -> None:
    take_in(PODS, event("ADDED"), store, queue)
    await taken(queue)
    take_in(PODS, event("MODIFIED"), store, queue)
    assert await taken(queue) == []


async def test_a_deletion_queues_the_resource(store: Store, queue: WorkQueue[Key]) -> None:
    take_in(PODS, event("ADDED"), store, queue)
    await taken(queue)
    take_in(PODS, event("DELETED"), store, queue)
    assert await taken(queue) == [("sea", "whales")]
    assert store.get("Pod", "sea", "p") is None


async def test_strangers_queue_nothing(store: Store, queue: WorkQueue[Key]) -> None:
    take_in(PODS, event("ADDED", owner=None), store, queue)
    assert await taken(queue) == []


def test_an_object_that_cannot_be_read_is_told_and_left(
    store: Store, queue: WorkQueue[Key], caplog: pytest.LogCaptureFixture
) -> None:
    taker(store, queue)(PODS, {"type": "ADDED", "object": {"metadata": {"name": "p"}}})
    (record,) = caplog.records
    assert record.__dict__["reason"] == "BadObject"
    assert len(store) == 0


@pytest.mark.parametrize("limit", [2.0, 5.0, 300.0])
def test_a_quiet_watch_shows_in_time_that_it_lives(limit: float) -> None:
    settings = Settings(watch_age_limit=limit)
    watching = settings_for(settings).watching
    assert watching.server_timeout is not None
    assert 1 <= watching.server_timeout < limit
    assert min(60, watching.server_timeout) < silence_for(settings) < limit, "with bookmarks, or at its end"
    assert watching.inactivity_timeout > 1e6, "kopf's own bound ends the task that watches"


def test_kopf_writes_nothing_and_watches_only_what_is_ours() -> None:
    settings = settings_for(Settings())
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    storage, body = settings.persistence.diffbase_storage, kopf.Body({"spec": {"a": 1}})
    assert (storage.build(body=body), storage.fetch(body=body)) == ({}, None), "nothing is copied for a comparison"
    selected = {cast(Any, key).any_name: text for key, text in settings.watching.label_selectors.items()}
    assert selected == {
        resource.plural: "ecomarineai.org/cetaceanmodel" for resource in (PODS, *CHILDREN, SERVICE_MONITORS)
    }


async def registered(
    store: Store, queue: WorkQueue[Key], *namespaces: str, service_monitors: bool = False
) -> tuple[kopf.OperatorRegistry, WatchLiveness]:
    ages = WatchLiveness(metrics := Metrics())
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as kube:
        registry = registry_for(
            kube=kube,
            store=store,
            queue=queue,
            ages=ages,
            streams=WatchMiddleware(ages, metrics, silence=60.0, on_event=lambda *_: None, on_gap=lambda *_: None),
            namespaces=namespaces,
            service_monitors=service_monitors,
        )
    return registry, ages


@pytest.mark.parametrize("namespaces", [(), ("sea", "lake")])
async def test_every_watch_is_measured(store: Store, queue: WorkQueue[Key], namespaces: tuple[str, ...]) -> None:
    _, ages = await registered(store, queue, *namespaces)
    for resource in (MODELS, PODS, *CHILDREN):
        for namespace in namespaces or (None,):
            assert ages.watched(resource.path(namespace)) == (resource, namespace)


@pytest.mark.parametrize("monitors", [True, False])
async def test_there_are_only_event_handlers(store: Store, queue: WorkQueue[Key], *, monitors: bool) -> None:
    """A handler of any other sort would leave finalizers or annotations behind."""
    registry, _ = await registered(store, queue, service_monitors=monitors)
    assert not list(registry._changing.get_all_handlers())
    assert not list(registry._spawning.get_all_handlers())
    assert not list(registry._indexing.get_all_handlers())
    watched = {handler.selector.any_name for handler in registry._watching.get_all_handlers() if handler.selector}
    expected = {MODELS.plural, PODS.plural, *(resource.plural for resource in CHILDREN)}
    assert watched == expected | ({SERVICE_MONITORS.plural} if monitors else set())


async def test_an_object_that_cannot_be_read_stops_nothing(store: Store, queue: WorkQueue[Key]) -> None:
    registry, _ = await registered(store, queue)
    handler = next(iter(registry._watching.get_all_handlers()))
    await cast(Any, handler.fn)(event={"type": "ADDED", "object": {}})
    await cast(Any, handler.fn)(event={"type": "ADDED", "object": {"metadata": {"resourceVersion": "x"}}})
    assert len(store) == 0


def test_kopf_is_the_version_whose_settings_these_are() -> None:
    chosen = kopf.OperatorSettings()
    assert chosen.watching.inactivity_timeout
    assert hasattr(chosen.watching, "label_selectors")
