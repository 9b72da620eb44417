"""Workers that nothing ends, and the listing that repairs the store."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from support.fake_api import FakeApi, no_refusal
from support.operator_world import manifest
from support.virtual_time import VirtualClock, settle

from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.kube.resources import BY_KIND, ResourceType
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import Reconciler, owner_of
from cetacean_operator.reconcile.workers import Resync, jittered, work

A, B = ("sea", "a"), ("sea", "b")


class Scripted:
    """A reconciler that does what a test says."""

    def __init__(self, act: Callable[[Key], Awaitable[float | None]]) -> None:
        self.act, self.seen = act, list[Key]()

    async def reconcile(self, key: Key) -> float | None:
        self.seen.append(key)
        return await self.act(key)


@asynccontextmanager
async def working(
    act: Callable[[Key], Awaitable[float | None]],
    *,
    workers: int = 2,
    timeout: float = 5.0,  # noqa: ASYNC109
) -> AsyncIterator[tuple[WorkQueue[Key], VirtualClock, Scripted, Metrics]]:
    clock, metrics, scripted = VirtualClock(), Metrics(), Scripted(act)
    queue: WorkQueue[Key] = WorkQueue(clock, backoff_base=1.0, rng=random.Random(0))
    tasks = [
        asyncio.create_task(work(queue, cast(Reconciler, scripted), metrics, timeout=timeout)) for _ in range(workers)
    ]
    yield queue, clock, scripted, metrics
    assert not any(task.done() for task in tasks), "a worker has ended"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError("apply", "/x", 503, "ServiceUnavailable", ""), "ServiceUnavailable"),
        (ApiError("apply", "/x", 0, "", "refused"), "NoAnswer"),
        (TimeoutError(), "TimeoutError"),
        (KeyError("a fault of ours"), "Unexpected"),
    ],
)
async def test_a_failure_is_counted_and_tried_again(error: Exception, reason: str) -> None:
    outcomes: list[Exception | None] = [error, None]

    async def act(_: Key) -> float | None:
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome
        return None

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        await settle()
        assert scripted.seen == [A]
        clock.advance(1.0)
        await settle()
        assert scripted.seen == [A, A]
        clock.advance(1000)
        await settle()
        assert scripted.seen == [A, A]
        assert metrics.registry.get_sample_value("cetacean_operator_reconcile_errors_total", {"reason": reason}) == 1


async def test_reasons_that_others_invent_are_counted_as_one() -> None:
    numbers = itertools.count()

    async def act(_: Key) -> float | None:
        raise ApiError("apply", "/x", 403, f"DeniedBecauseOf{next(numbers)}", "a webhook says what it likes")

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        for _ in range(3):
            await settle()
            clock.advance(1000)
        assert len(scripted.seen) == 3
        assert metrics.registry.get_sample_value("cetacean_operator_reconcile_errors_total", {"reason": "Other"}) == 3


async def test_nothing_is_tried_again_in_a_namespace_that_is_being_deleted(caplog: pytest.LogCaptureFixture) -> None:
    async def act(_: Key) -> float | None:
        raise NamespaceTerminatingError("apply", "/x", 403, "Forbidden", "it is being terminated")

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        await settle()
        clock.advance(1000)
        await settle()
        assert scripted.seen == [A]
        errors = metrics.registry.get_sample_value("cetacean_operator_reconcile_errors_total", {"reason": "Forbidden"})
        assert not errors
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_retry_after_is_heeded() -> None:
    error = ApiError("apply", "/x", 429, "TooManyRequests", "")
    error.retry_after = 5.0

    async def act(_: Key) -> float | None:
        raise error

    async with working(act) as (queue, clock, scripted, _):
        queue.add(A)
        await settle()
        clock.advance(4.9)
        await settle()
        assert scripted.seen == [A], "not before the API server said"
        clock.advance(0.1)
        await settle()
        assert scripted.seen == [A, A]


async def test_one_bad_resource_delays_no_other() -> None:
    hang = asyncio.Event()

    async def act(key: Key) -> float | None:
        if key == A:
            await hang.wait()
        return None

    async with working(act) as (queue, _, scripted, _metrics):
        queue.add(A)
        queue.add(B)
        await settle()
        queue.add(B)
        await settle()
        assert scripted.seen == [A, B, B]
        hang.set()
        await settle()


async def test_a_reconcile_that_hangs_is_bounded() -> None:
    ended = asyncio.Event()

    async def act(_: Key) -> float | None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    async with working(act, timeout=0.01) as (queue, _, _scripted, metrics):
        queue.add(A)
        async with asyncio.timeout(5):
            await ended.wait()
        await settle()
        errors = metrics.registry.get_sample_value(
            "cetacean_operator_reconcile_errors_total", {"reason": "TimeoutError"}
        )
        assert errors == 1


async def test_it_comes_back_when_time_alone_changes_something() -> None:
    async def act(_: Key) -> float | None:
        return 60.0

    async with working(act) as (queue, clock, scripted, _):
        queue.add(A)
        await settle()
        clock.advance(60)
        await settle()
        assert scripted.seen == [A]
        clock.advance(1)
        await settle()
        assert scripted.seen == [A, A]


async def test_losing_the_lease_is_no_failure() -> None:
    async def act(_: Key) -> float | None:
        raise NotLeadingError("lost")

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        await settle()
        clock.advance(1000)
        await settle()
        assert scripted.seen == [A]
        count = metrics.registry.get_sample_value(
            "cetacean_operator_reconcile_duration_seconds_count", {"result": "not_leading"}
        )
        assert count == 1


# --- Resync ---------------------------------------------------------------------------------------------------------


class Spaces(FakeApi):
    """Some namespaces refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing: dict[str, int] = {}
        """The codes with which they do, by namespace."""

    async def list(
        self, resource: ResourceType, namespace: str | None, *, label_selector: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        if code := self.refusing.get(namespace or ""):
            raise ApiError("list", resource.path(namespace), code, "Forbidden", f"cannot list {resource.plural}")
        async for obj in super().list(resource, namespace, label_selector=label_selector):
            yield obj


class Listing:
    def __init__(self, *namespaces: str) -> None:
        self.api, self.store, self.metrics = Spaces(), Store(owner_of), Metrics()
        self.queue: WorkQueue[Key] = WorkQueue(VirtualClock())
        self.monitors: list[bool] = []
        self.slept: list[float] = []
        self.awake = asyncio.Event()
        """Cleared, whoever sleeps goes on sleeping."""
        self.awake.set()
        self.nap = 0.0
        """How long a sleep takes."""
        self.resync = Resync(
            kube=self.api,
            store=self.store,
            queue=self.queue,
            metrics=self.metrics,
            namespaces=namespaces,
            on_service_monitors=self.monitors.append,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.awake.wait()
        await asyncio.sleep(self.nap)

    def child(self, name: str, *, labelled: bool = True, namespace: str = "sea") -> dict[str, Any]:
        labels = {"ecomarineai.org/cetaceanmodel": "whales"} if labelled else {}
        return self.api.put({"kind": "Service", "metadata": {"namespace": namespace, "name": name, "labels": labels}})

    async def due(self) -> list[Key]:
        keys = []
        while len(self.queue):
            key = await self.queue.take()
            keys.append(key)
            self.queue.done(key)
        return keys

    def repairs(self, plural: str) -> float | None:
        return self.metrics.registry.get_sample_value("cetacean_operator_cache_repairs_total", {"resource": plural})


async def test_everything_of_ours_is_listed() -> None:
    listing = Listing()
    listing.api.put(manifest())
    listing.child("x")
    listing.child("stranger", labelled=False)
    await listing.resync.once()
    assert {kind for kind in ("CetaceanModel", "Service") for _ in listing.store.keys(kind)} == {
        "CetaceanModel",
        "Service",
    }
    assert listing.store.get("Service", "sea", "stranger") is None
    assert await listing.due() == [("sea", "whales")]
    assert listing.monitors == [False]


async def test_what_a_watch_has_missed_is_repaired() -> None:
    listing = Listing()
    listing.api.put(manifest())
    listing.store.put(listing.child("gone"))
    listing.store.put(listing.child("stays"))
    del listing.api.objects["Service", "sea", "gone"]
    await listing.resync.once()
    assert listing.store.get("Service", "sea", "gone") is None
    assert listing.store.get("Service", "sea", "stays") is not None
    assert listing.repairs("services") == 1
    await listing.resync.once()
    assert listing.repairs("services") == 1


async def test_what_is_written_during_a_listing_is_not_taken_for_gone() -> None:
    listing = Listing()
    old = listing.child("x")
    listing.store.put(old)
    del listing.api.objects["Service", "sea", "x"]

    def written(verb: str, resource: Any, _name: str) -> None:
        if verb == "list" and resource.kind == "Service":
            newer = {**old, "metadata": {**old["metadata"], "resourceVersion": "99999"}}
            listing.store.put(newer)

    listing.api.refuse = written
    await listing.resync.once()
    assert listing.store.get("Service", "sea", "x") is not None


async def test_what_is_deleted_during_a_listing_stays_deleted() -> None:
    listing = Listing()
    known, unknown = listing.child("known"), listing.child("unknown")
    listing.store.put(known)

    def deleted(verb: str, resource: Any, _name: str) -> None:
        if verb == "list" and resource.kind == "Service":  # the answer is older, and holds both
            listing.store.add_tombstone(unknown["metadata"]["uid"], 99999)
            listing.store.remove("Service", "sea", "known", known["metadata"]["uid"])

    listing.api.refuse = deleted
    await listing.resync.once()
    assert listing.store.keys("Service") == []
    assert listing.repairs("services") is None


def test_nobody_lists_in_step() -> None:
    intervals = [jittered(600.0) for _ in range(1000)]
    assert all(480.0 <= interval <= 720.0 for interval in intervals)
    assert max(intervals) - min(intervals) > 120.0


async def test_it_lists_now_and_then_whatever_goes_wrong() -> None:
    listing = Listing()
    refusals = [ApiError("list", "/x", 403, "Forbidden", "")]
    listing.api.refuse = lambda verb, *_: refusals.pop() if verb == "list" and refusals else None
    listing.store.put(listing.child("gone"))
    del listing.api.objects["Service", "sea", "gone"]
    async with running(listing, interval=0.01):
        async with asyncio.timeout(5):
            assert await listing.queue.take() == ("sea", "whales")
    assert refusals == []
    assert listing.store.get("Service", "sea", "gone") is None


async def test_what_was_deleted_while_a_watch_began_anew_is_found_at_once() -> None:
    listing = Listing()
    listing.store.put(listing.child("gone"))
    del listing.api.objects["Service", "sea", "gone"]
    async with running(listing, interval=600.0):
        await settle()
        assert listing.api.calls == []
        for _ in range(2):
            listing.resync.fill(BY_KIND["Service"], None)
        await settle()
        assert listing.store.get("Service", "sea", "gone") is None
    assert await listing.due() == [("sea", "whales")]
    assert listing.api.calls == [("list", "Service/ecomarineai.org/cetaceanmodel")], "once, and nothing else"


def refusing(kind: str, code: int) -> Callable[[str, ResourceType, str], ApiError | None]:
    """Let no objects of a kind be listed."""
    return lambda _verb, resource, _name: ApiError("list", "/x", code, "Bad", "") if resource.kind == kind else None


async def test_a_gap_stays_until_it_is_filled_and_stops_no_other() -> None:
    listing, kinds = Listing(), ("ConfigMap", "Service", "Deployment", "NetworkPolicy")
    for kind in kinds:
        listing.store.put(listing.api.put(listing.child("gone") | {"kind": kind}))
    listing.api.objects.clear()
    listing.api.refuse = refusing("Service", 403)
    async with running(listing, interval=600.0):
        for count in range(6):
            listing.awake.clear()
            for kind in () if count else kinds:
                listing.resync.fill(BY_KIND[kind], None)
            await settle()
            assert [kind for kind in kinds if listing.store.keys(kind)] == ["Service"], "the others were listed"
            listing.awake.set()
        assert listing.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0], "later each time"
        listing.api.refuse = no_refusal
        await settle()
        assert listing.store.keys("Service") == []
        assert listing.api.calls.count(("list", "Deployment/ecomarineai.org/cetaceanmodel")) == 1
        listing.awake.clear()
        listing.api.refuse = refusing("Service", 403)
        listing.resync.fill(BY_KIND["Service"], None)
        await settle()
        assert listing.slept[-1] == 0.5, "it was filled in between"


async def test_what_is_told_during_a_listing_is_listed_again() -> None:
    listing = Listing()
    told = [BY_KIND["Service"]]

    def again(verb: str, resource: ResourceType, _name: str) -> None:
        if verb == "list" and told:
            listing.resync.fill(told.pop(), None)

    listing.api.refuse = again
    async with running(listing, interval=600.0):
        listing.resync.fill(BY_KIND["Service"], None)
        await settle()
    assert len(listing.api.calls) == 2


async def test_a_gap_that_stays_puts_off_no_resync() -> None:
    listing = Listing()
    listing.nap = 0.001
    listing.api.put(manifest())
    listing.api.refuse = refusing("Service", 403)
    async with running(listing, interval=0.05):
        listing.resync.fill(BY_KIND["Service"], None)
        async with asyncio.timeout(5):
            assert await listing.queue.take() == ("sea", "whales"), "the resource was listed"


@asynccontextmanager
async def running(listing: Listing, *, interval: float) -> AsyncIterator[None]:
    task = asyncio.create_task(listing.resync.run(interval))
    yield
    assert not task.done(), "nothing ends it"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("code", "retry_after", "slept"), [(500, None, [0.5]), (429, 3.0, [3.0]), (0, None, [0.5]), (410, None, [0.5])]
)
async def test_a_listing_that_failed_is_tried_again_alone(
    code: int, retry_after: float | None, slept: list[float]
) -> None:
    listing = Listing()
    error = ApiError("list", "/x", code, "Passing", "")
    error.retry_after = retry_after
    refusals: list[ApiError | None] = [error]

    def refuse(verb: str, resource: Any, _name: str) -> ApiError | None:
        return refusals.pop() if (verb, resource.kind) == ("list", "Service") and refusals else None

    listing.api.refuse = refuse
    await listing.resync.once()
    assert listing.slept == slept
    listed = [name for verb, name in listing.api.calls if verb == "list"]
    assert [name for name in listed if listed.count(name) > 1] == ["Service/ecomarineai.org/cetaceanmodel"] * 2


@pytest.mark.parametrize(("code", "attempts"), [(403, 1), (500, 4)])
async def test_a_listing_that_goes_on_failing_is_told(code: int, attempts: int) -> None:
    listing = Listing()
    listing.api.refuse = lambda *_: ApiError("list", "/x", code, "Bad", "")
    with pytest.raises(ApiError):
        await listing.resync.once()
    assert len(listing.api.calls) == attempts


async def test_only_the_named_namespaces_are_listed() -> None:
    listing = Listing("sea")
    listing.child("x")
    listing.child("y", namespace="land")
    listing.store.put(listing.child("z", namespace="land"))
    await listing.resync.once()
    assert listing.store.get("Service", "sea", "x") is not None
    assert listing.store.get("Service", "land", "y") is None
    assert listing.store.get("Service", "land", "z") is not None, "not listed is not gone"


@pytest.mark.parametrize("code", [403, 404])
async def test_a_namespace_that_refuses_is_told_once_and_left_out(code: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    listing = Listing("gone", "sea")
    listing.store.put(listing.child("known", namespace="gone"))
    listing.child("x")
    listing.api.refusing["gone"] = code
    for _ in range(2):
        await listing.resync.once()
    assert listing.store.get("Service", "sea", "x") is not None
    assert listing.store.get("Service", "gone", "known") is not None, "not listed is not gone"
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == len(set(told)) == 8, "once for each kind"
    assert all(text.startswith("namespace gone is left out for ") for text in told)
    assert any(text.endswith(f"{code} Forbidden: cannot list pods") for text in told)
    caplog.clear()
    del listing.api.refusing["gone"], listing.api.objects["Service", "gone", "known"]
    await listing.resync.once()
    assert listing.store.get("Service", "gone", "known") is None, "it is looked at with each resync"
    assert {record.__dict__["reason"] for record in caplog.records} == {"NamespaceServed"}
    listing.api.refusing["gone"] = code
    await listing.resync.once()
    assert "NamespaceRefused" in {record.__dict__["reason"] for record in caplog.records}, "told again when it is news"


async def test_a_gap_in_a_namespace_that_refuses_is_left_to_the_next_listing() -> None:
    listing = Listing("gone", "sea")
    listing.api.refusing["gone"] = 403
    async with running(listing, interval=600.0):
        listing.resync.fill(BY_KIND["Service"], "gone")
        await settle()
    assert listing.slept == []


async def test_other_failures_of_a_namespace_are_told_as_ever() -> None:
    listing = Listing("sea")
    listing.api.refusing["sea"] = 500
    with pytest.raises(ApiError):
        await listing.resync.once()


async def test_service_monitors_are_listed_where_they_are_served() -> None:
    listing = Listing()
    listing.api.served.add("servicemonitors")
    await listing.resync.once()
    assert listing.monitors == [True]
    assert ("list", "ServiceMonitor/ecomarineai.org/cetaceanmodel") in listing.api.calls
