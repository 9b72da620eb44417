"""The informer lists once at start and once after an expired version; after any other fault it resumes the watch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.pods import pod_manifest
from support.virtual_time import VirtualClock, settle

from cetacean_operator.api.kinds import PODS, ResourceType
from cetacean_operator.kube.client import ApiError, Page
from cetacean_operator.kube.informer import Informer
from cetacean_operator.kube.json_reader import UnreadableObject
from cetacean_operator.kube.watch_liveness import WatchLiveness
from cetacean_operator.kube.watch_stream import Body
from cetacean_operator.metrics.collectors import Metrics

Step = list[bytes] | ApiError


def pod(name: str, version: int) -> dict[str, Any]:
    return pod_manifest(name, version=version)


def event(kind: str, name: str, version: int) -> bytes:
    return json.dumps({"type": kind, "object": pod(name, version)}).encode() + b"\n"


def error(code: int) -> bytes:
    status = {"code": code, "reason": "So", "message": "set by the test"}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


class Chunks:
    def __init__(self, chunks: list[bytes], ended: Callable[[], None]) -> None:
        self._chunks, self._ended = chunks, ended

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        self._ended()


class World:
    """An informer, an API server whose answers are given in advance, and the calls that the informer made."""

    def __init__(
        self, lists: list[list[Page] | ApiError], watches: list[Step], *, namespace: str | None = None
    ) -> None:
        self.lists, self.watches = lists, watches
        self.clock, self.metrics = VirtualClock(), Metrics()
        self.requests: list[str] = []
        self.slept: list[float] = []
        self.stored: list[tuple[str | None, str]] = []
        self.replaced: list[tuple[set[tuple[str, str]], str]] = []
        self.unreadable: list[str] = []
        self.watch_seconds = 60.0
        """The duration of each watch."""
        self.state = WatchLiveness(self.metrics, self.clock.time).expect(PODS, namespace)
        self.informer = Informer(
            self, self.state, self, label_selector="x", silence=60.0, server_timeout=180, sleep=self.sleep
        )

    async def list(
        self, resource: ResourceType, namespace: str | None, *, label_selector: str = ""
    ) -> AsyncIterator[Page]:
        self.requests.append("list")
        assert (resource, label_selector) == (PODS, "x")
        if not self.lists:
            await asyncio.Event().wait()
        step = self.lists.pop(0)
        if isinstance(step, ApiError):
            raise step
        for page in step:
            yield page

    @asynccontextmanager
    async def watch(
        self,
        resource: ResourceType,
        namespace: str | None,
        *,
        version: str,
        label_selector: str = "",
        seconds: int,
        answer_within: float,
    ) -> AsyncIterator[Body]:
        self.requests.append(f"watch {version}")
        assert (resource, label_selector, seconds, answer_within) == (PODS, "x", 180, 60.0)
        if not self.watches:
            await asyncio.Event().wait()
        step = self.watches.pop(0)
        if isinstance(step, ApiError):
            raise step
        yield Chunks(step, lambda: self.clock.advance(self.watch_seconds))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def store_event(self, _resource: ResourceType, event: dict[str, Any]) -> None:
        self.stored.append((event["type"], event["object"]["metadata"]["name"]))

    def is_known(self, _resource: ResourceType, _event: dict[str, Any]) -> bool:
        raise AssertionError("an informer stores each event")

    def report_unreadable(self, _resource: ResourceType, found: UnreadableObject) -> None:
        self.unreadable.append(found.name)

    def replace(
        self, _resource: ResourceType, _namespace: str | None, names: set[tuple[str, str]], version: str
    ) -> None:
        self.replaced.append((names, version))

    async def run(self) -> None:
        """Run the informer until it waits for the API server."""
        task = asyncio.create_task(self.informer.run())
        await settle()
        assert not task.done(), "the informer has ended"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def fault(self, reason: str) -> float | None:
        labels = {"resource": "pods", "reason": reason}
        return self.metrics.registry.get_sample_value("cetacean_operator_watch_faults_total", labels)


PAGES = [Page([pod("a", 3)], "7"), Page([pod("b", 5)], "7")]


async def test_the_informer_lists_once_and_watches_from_the_version_of_the_list() -> None:
    world = World([PAGES], [[event("ADDED", "c", 8) + event("DELETED", "a", 9)], []])
    await world.run()
    assert world.requests == ["list", "watch 7", "watch 9", "watch 9"]
    assert world.stored == [(None, "a"), (None, "b"), ("ADDED", "c"), ("DELETED", "a")]
    assert world.replaced == [({("sea", "a"), ("sea", "b")}, "7")], "after the last page"
    await world.informer.synced()
    assert world.slept == []


async def test_a_bookmark_moves_the_version_and_stores_nothing() -> None:
    bookmark = json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "30"}}}).encode() + b"\n"
    world = World([PAGES], [[bookmark]])
    await world.run()
    assert world.requests == ["list", "watch 7", "watch 30"]
    assert len(world.stored) == 2


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ([event("ADDED", "c", 8), error(410)], "Expired"),
        ([error(500)], "ErrorEvent"),
        (ApiError("watch", "/x", 410, "Expired", ""), "Expired"),
    ],
)
async def test_an_expired_version_or_an_error_event_causes_one_new_list(step: Step, reason: str) -> None:
    world = World([PAGES, [Page([], "20")]], [step])
    await world.run()
    assert world.requests == ["list", "watch 7", "list", "watch 20"]
    assert world.replaced[-1] == (set(), "20"), "the list removes objects whose deletion the watch missed"
    assert world.fault(reason) == 1.0


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([event("ADDED", "c", 8) + b'{"type": "MODI'], "TornEvent"),
        ([event("ADDED", "c", 8), b"garbage\n"], "TornEvent"),
    ],
)
async def test_a_torn_watch_resumes_at_the_last_whole_event(chunks: list[bytes], reason: str) -> None:
    world = World([PAGES], [chunks])
    await world.run()
    assert world.requests == ["list", "watch 7", "watch 8"]
    assert world.stored[-1] == ("ADDED", "c")
    assert world.fault(reason) == 1.0
    assert len(world.slept) == 1


@pytest.mark.parametrize("code", [0, 403, 404, 429, 500, 503])
async def test_a_refused_watch_is_opened_again_at_the_same_version_after_a_pause(code: int) -> None:
    refusal = ApiError("watch", "/x", code, "So", "")
    refusal.retry_after = 5.0 if code == 429 else None
    world = World([PAGES], [refusal, [event("ADDED", "c", 8)]])
    await world.run()
    assert world.requests == ["list", "watch 7", "watch 7", "watch 8"]
    assert world.slept[0] == 5.0 if code == 429 else world.slept[0] <= 0.25
    assert world.fault("Refused") == 1.0


async def test_there_is_a_pause_after_a_watch_that_ends_at_once() -> None:
    world = World([PAGES], [[], []])
    world.watch_seconds = 0.1
    await world.run()
    assert len(world.slept) == 2
    assert world.fault("Cut") == 2.0


async def test_a_failed_list_starts_again_at_its_first_page() -> None:
    expired = ApiError("list", "/x", 410, "Expired", "the next page is gone")
    world = World([expired, PAGES], [])
    await world.run()
    assert world.requests == ["list", "list", "watch 7"]
    assert world.replaced == [({("sea", "a"), ("sea", "b")}, "7")]


@pytest.mark.parametrize(
    ("namespace", "code", "synced"), [("gone", 403, True), ("gone", 404, True), (None, 403, False), ("sea", 500, False)]
)
async def test_only_a_named_namespace_that_is_forbidden_or_absent_counts_as_synced(
    namespace: str | None, code: int, synced: bool
) -> None:
    world = World([ApiError("list", "/x", code, "So", "")], [], namespace=namespace)
    await world.run()
    waiting = asyncio.create_task(world.informer.synced())
    await settle()
    assert waiting.done() is synced
    waiting.cancel()


DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000


async def test_an_event_that_cannot_be_parsed_hides_no_later_one() -> None:
    meta = json.dumps(pod("deep", 8)["metadata"]).encode()
    deep = b'{"type":"ADDED","object":{"metadata":' + meta + b',"spec":' + DEEP + b"}}\n"
    world = World([PAGES], [[deep, event("ADDED", "c", 9)], [deep.replace(b'"8"', b'"10"')]])
    await world.run()
    assert world.unreadable == ["deep", "deep"]
    assert world.stored[-1] == ("ADDED", "c")
    assert world.requests[-1] == "watch 10", "it is not asked for again"
    assert world.fault("TornEvent") is None


@pytest.mark.parametrize(("name", "replaced"), [("deep", [({("sea", "a"), ("sea", "deep")}, "7")]), ("", [])])
async def test_an_object_that_cannot_be_parsed_is_not_taken_for_gone(name: str, replaced: list[Any]) -> None:
    """An object without a readable name may be any: then no object is removed from the cache."""
    unreadable = UnreadableObject("sea" if name else "", name, "u", "5", "too deep")
    world = World([[Page([pod("a", 3)], "7", [unreadable])]], [])
    await world.run()
    assert world.unreadable == [name]
    assert world.replaced == replaced


async def test_an_event_resets_the_age_of_the_watch() -> None:
    world = World([PAGES], [[event("ADDED", "c", 8)]])
    world.clock.advance(100)
    world.watch_seconds = 0.0
    await world.run()
    assert world.state.age == 0.0
