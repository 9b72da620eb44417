"""The kopf edge: events into the store, resources into the queue, and no trace of kopf in the cluster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest
from aiohttp import TraceRequestEndParams, web
from kubernetes.aio.client import Configuration
from virtual_time import VirtualClock
from yarl import URL

from cetacean_operator.handlers.watch import WatchAges, begin_anew_where_gone, registry_for, settings_for, take_in
from cetacean_operator.metrics import Metrics
from cetacean_operator.reconciler.kube import CHILDREN, MODELS, PODS, SERVICE_MONITORS, Kube
from cetacean_operator.reconciler.queue import WorkQueue
from cetacean_operator.reconciler.reconciler import owner_of
from cetacean_operator.reconciler.store import Key, Store
from cetacean_operator.settings import Settings


@pytest.fixture
def store() -> Store:
    return Store(owner_of)


@pytest.fixture
def queue() -> WorkQueue[Key]:
    return WorkQueue(VirtualClock())


def event(kind: str | None, version: int = 1, *, owner: str | None = "whales") -> dict[str, Any]:
    labels = {"ecomarineai.org/cetaceanmodel": owner} if owner else {}
    meta = {"namespace": "sea", "name": "p", "uid": "u", "resourceVersion": str(version), "labels": labels}
    return {"type": kind, "object": {"metadata": meta}}


async def taken(queue: WorkQueue[Key]) -> list[Key]:
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


async def test_what_people_change_goes_before_what_comes_of_it(store: Store, queue: WorkQueue[Key]) -> None:
    take_in(PODS, event("ADDED", owner="first"), store, queue)
    for version, (name, seen) in enumerate((("seen", 2), ("changed", 1)), start=2):
        changed = event("MODIFIED", version)
        changed["object"]["metadata"] |= {"name": name, "generation": 2}
        take_in(
            MODELS, {**changed, "object": {**changed["object"], "status": {"observedGeneration": seen}}}, store, queue
        )
    assert await taken(queue) == [("sea", "changed"), ("sea", "first"), ("sea", "seen")]


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


def test_kopf_writes_nothing_and_watches_only_what_is_ours() -> None:
    settings = settings_for(Settings(watch_age_limit=300.0))
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    storage, body = settings.persistence.diffbase_storage, kopf.Body({"spec": {"a": 1}})
    assert (storage.build(body=body), storage.fetch(body=body)) == ({}, None), "nothing is copied for a comparison"
    assert settings.watching.server_timeout is not None
    assert settings.watching.server_timeout < 300, "a watch must show in time that it lives"
    assert settings.watching.inactivity_timeout <= settings.watching.server_timeout
    selected = {cast(Any, key).any_name: text for key, text in settings.watching.label_selectors.items()}
    assert selected == {
        resource.plural: "ecomarineai.org/cetaceanmodel" for resource in (PODS, *CHILDREN, SERVICE_MONITORS)
    }


@pytest.mark.parametrize("monitors", [True, False])
async def test_there_are_only_event_handlers(store: Store, queue: WorkQueue[Key], *, monitors: bool) -> None:
    """A handler of any other sort would leave finalizers or annotations behind."""
    ages = WatchAges(Metrics())
    async with Kube(Configuration(host="http://127.0.0.1:1")) as kube:
        registry = registry_for(kube=kube, store=store, queue=queue, ages=ages, service_monitors=monitors)
    assert not list(registry._changing.get_all_handlers())
    assert not list(registry._spawning.get_all_handlers())
    assert not list(registry._indexing.get_all_handlers())
    watched = {handler.selector.any_name for handler in registry._watching.get_all_handlers() if handler.selector}
    expected = {MODELS.plural, PODS.plural, *(resource.plural for resource in CHILDREN)}
    assert watched == expected | ({SERVICE_MONITORS.plural} if monitors else set())


async def test_an_object_that_cannot_be_read_stops_nothing(store: Store, queue: WorkQueue[Key]) -> None:
    ages = WatchAges(Metrics())
    async with Kube(Configuration(host="http://127.0.0.1:1")) as kube:
        registry = registry_for(kube=kube, store=store, queue=queue, ages=ages, service_monitors=False)
    handler = next(iter(registry._watching.get_all_handlers()))
    await cast(Any, handler.fn)(event={"type": "ADDED", "object": {}})
    await cast(Any, handler.fn)(event={"type": "ADDED", "object": {"metadata": {"resourceVersion": "x"}}})
    assert len(store) == 0


def test_the_watch_that_is_silent_for_longest_counts() -> None:
    clock, metrics = VirtualClock(), Metrics()
    ages = WatchAges(metrics, clock.time)
    assert ages.oldest() == ("", 0.0)
    ages.expect("pods")
    ages.expect("services")
    clock.advance(5)
    ages.touch("pods")
    clock.advance(1)
    assert ages.oldest() == ("services", 6.0)
    assert metrics.registry.get_sample_value("cetacean_operator_watch_age_seconds", {"resource": "pods"}) == 1.0


@pytest.mark.parametrize(
    ("url", "status", "age"),
    [
        ("http://x/api/v1/pods?watch=true", 200, 0.0),
        ("http://x/api/v1/namespaces/sea/pods", 200, 0.0),
        ("http://x/api/v1/pods?watch=true", 403, 9.0),
        ("http://x/api/v1/nodes", 200, 9.0),
    ],
)
async def test_an_answered_request_shows_that_a_watch_lives(url: str, status: int, age: float) -> None:
    clock = VirtualClock()
    ages = WatchAges(Metrics(), clock.time)
    ages.expect("pods")
    clock.advance(9)
    (answered,) = ages.trace().on_request_end
    end = cast(TraceRequestEndParams, SimpleNamespace(url=URL(url), response=SimpleNamespace(status=status)))
    await cast(Any, answered)(None, SimpleNamespace(), end)
    assert ages.oldest() == ("pods", age)


async def test_requests_of_the_watches_are_counted_by_verb_and_code() -> None:
    metrics = Metrics()
    ages = WatchAges(metrics)
    ages.expect("pods")
    trace = ages.trace()
    (answered,), (unanswered,) = trace.on_request_end, trace.on_request_exception
    for url, status in (("pods?watch=true", 200), ("pods?watch=true", 410), ("pods", 200), ("", 200)):
        end = SimpleNamespace(url=URL(f"http://x/api/v1/{url}"), response=SimpleNamespace(status=status))
        await cast(Any, answered)(None, SimpleNamespace(), end)
    await cast(Any, unanswered)(None, SimpleNamespace(), SimpleNamespace(url=URL("http://x/api/v1/pods?watch=true")))
    counted = {
        (sample.labels["verb"], sample.labels["code"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "cetacean_operator_api_requests_total"
    }
    assert counted == {
        ("watch", "200"): 1,
        ("watch", "410"): 1,
        ("list", "200"): 1,
        ("discover", "200"): 1,
        ("watch", "0"): 1,
    }


def test_kopf_is_the_version_whose_settings_these_are() -> None:
    chosen = kopf.OperatorSettings()
    assert chosen.watching.inactivity_timeout
    assert hasattr(chosen.watching, "label_selectors")


async def test_a_past_that_is_gone_is_not_asked_for_again() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        return web.Response(status=410 if "resourceVersion" in request.query else 200)

    app = web.Application()
    app.router.add_get("/pods", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    trace = WatchAges(Metrics()).trace()
    async with (
        Kube(Configuration(host=url)) as kube,
        kube.session(trace, begin_anew_where_gone) as session,
        session.get(f"{url}/pods?watch=true&resourceVersion=7&timeoutSeconds=60") as response,
    ):
        assert response.status == 200
    assert asked == ["watch=true&resourceVersion=7&timeoutSeconds=60", "watch=true&timeoutSeconds=60"]
    await runner.cleanup()
