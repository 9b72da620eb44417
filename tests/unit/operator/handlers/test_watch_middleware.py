"""Whatever happens to a watch, kopf sees one that has ended or a past that is gone, and begins anew."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_time import VirtualClock
from yarl import URL

from cetacean_operator.handlers.watch_middleware import WatchLiveness, WatchMiddleware
from cetacean_operator.kube.resources import MODELS, PODS, ResourceType
from cetacean_operator.metrics.collectors import Metrics

Chunk = bytes | Exception | asyncio.Event
WATCH = "/api/v1/pods?watch=true&resourceVersion=7&timeoutSeconds=60"
LIST = "/api/v1/pods"


def line(kind: str, told: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": told}, separators=(",", ":")).encode() + b"\n"


def event(text: str = "", *, version: str = "8", kind: str = "MODIFIED") -> bytes:
    return line(kind, {"metadata": {"resourceVersion": version}, "text": text})


def error(code: int, reason: str = "InternalError") -> bytes:
    return line("ERROR", {"kind": "Status", "code": code, "reason": reason, "message": "etcd has no leader"})


@dataclass
class Api:
    """An API server, asked through the middleware."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    metrics: Metrics = field(default_factory=Metrics)
    asked: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    gaps: list[tuple[ResourceType, str | None]] = field(default_factory=list)
    taken: list[tuple[ResourceType, str]] = field(default_factory=list)
    """The events that were taken in: of which resource, and their texts."""
    lasting: float = 60.0
    """Seconds that a watch takes."""
    silence: float = 60.0
    """Seconds after which one that carries nothing is begun anew."""

    def __post_init__(self) -> None:
        self.ages = WatchLiveness(self.metrics, self.clock.time)
        self.ages.expect(PODS, None)
        self.streams = WatchMiddleware(
            self.ages,
            self.metrics,
            silence=self.silence,
            on_event=self._on_event,
            on_gap=self._on_gap,
            clock=self.clock.time,
            sleep=self._sleep,
        )

    def _on_event(self, resource: ResourceType, event: dict[str, Any]) -> None:
        self.taken.append((resource, event["object"]["text"]))

    def _on_gap(self, resource: ResourceType, namespace: str | None) -> None:
        self.gaps.append((resource, namespace))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def ask(self, url: str, *statuses: int, chunks: Iterable[Chunk] = ()) -> aiohttp.ClientResponse:
        """Ask; the answers have these statuses, one after the other."""
        left = iter(statuses or (200,))

        async def handler(request: Any) -> Any:
            self.asked.append(request.url.query_string)
            content = SimpleNamespace(iter_chunked=lambda _: self._carry(chunks), total_bytes=5)
            return SimpleNamespace(status=next(left), reason="so", content=content, release=lambda: None)

        request = cast(aiohttp.ClientRequest, SimpleNamespace(url=URL(f"http://x{url}")))
        return await self.streams(request, handler)

    async def _carry(self, chunks: Iterable[Chunk]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            if isinstance(chunk, Exception):
                raise chunk
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
                continue
            yield chunk
        self.clock.advance(self.lasting)

    async def watch(self, *chunks: Chunk) -> list[Any]:
        """What kopf reads of a watch that carries these chunks and ends: versions of bookmarks, codes of errors."""
        response = await self.ask(WATCH, chunks=chunks)
        told = [json.loads(chunk) async for chunk in response.content.iter_chunked(1 << 20)]
        return [
            one["object"]["metadata"]["resourceVersion"] if one["type"] == "BOOKMARK" else one["object"]["code"]
            for one in told
        ]

    def texts(self) -> list[str]:
        return [text for _, text in self.taken]

    def counted(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The values of a counter."""
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"cetacean_operator_{name}_total"
        }

    def faults(self) -> dict[tuple[str, ...], float]:
        return self.counted("watch_faults", "resource", "reason")


@pytest.fixture
def api() -> Api:
    return Api()


@given(
    texts=st.lists(st.text(max_size=5), max_size=5),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    half=st.binary(max_size=20).filter(lambda tail: b"\n" not in tail),
)
async def test_whole_events_pass_and_a_half_one_does_not(texts: list[str], cuts: list[int], half: bytes) -> None:
    api, whole = Api(), b"".join(event(text, version=str(number)) for number, text in enumerate(texts, start=8))
    sent = whole + half
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    told = await api.watch(*(sent[begin:end] for begin, end in itertools.pairwise(places)))
    assert api.taken == [(PODS, text) for text in texts]
    assert told == sorted(told, key=int)
    assert told[-1:] == [str(7 + len(texts))] * bool(texts), "kopf goes on from the last"
    assert api.faults() == ({("pods", "TornEvent"): 1.0} if half else {})


async def test_a_bookmark_is_handed_on_and_no_event(api: Api) -> None:
    assert await api.watch(event("a", version="8") + event(kind="BOOKMARK", version="30")) == ["30"]
    assert api.texts() == ["a"]


@pytest.mark.parametrize(
    "torn",
    [
        b"upstream timed out\n",
        b'{"type": "MODI\n',
        b'{"type": "ERROR", }\n',
        b"[]\n",
        b'{"type": "ADDED", "object": {}}\n',
        b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": 8}}}\n',
    ],
)
async def test_what_is_no_event_ends_the_watch(api: Api, torn: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert await api.watch(event("before"), torn, event("after")) == ["8"]
    assert api.texts() == ["before"]
    assert api.faults() == {("pods", "TornEvent"): 1.0}
    (record,) = caplog.records
    assert (record.__dict__["resource"], record.__dict__["reason"]) == ("pods", "TornEvent")
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize("fault", [aiohttp.ClientPayloadError("cut"), aiohttp.ServerDisconnectedError(), OSError(5)])
async def test_a_connection_that_breaks_ends_the_watch(api: Api, fault: Exception) -> None:
    assert await api.watch(event("whole"), b'{"type": "MODI', fault) == ["8"]
    assert api.texts() == ["whole"]
    assert api.faults() == {("pods", "Cut"): 1.0}


async def test_one_that_carries_nothing_for_long_ends() -> None:
    api = Api(silence=0.01)
    assert await api.watch(event("before"), asyncio.Event(), event("after")) == ["8"]
    assert api.texts() == ["before"]
    assert api.faults() == {("pods", "Silent"): 1.0}


async def test_one_that_is_not_answered_is_tried_again() -> None:
    api = Api(silence=0.01)

    async def hang(_: Any) -> Any:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await api.streams(cast(aiohttp.ClientRequest, SimpleNamespace(url=URL(f"http://x{WATCH}"))), hang)
    assert api.counted("api_requests", "verb", "code") == {("watch", "0"): 1}


async def test_who_reads_slowly_is_not_interrupted() -> None:
    """kopf's own bound would cancel the task at whatever it waits for then."""
    api = Api(silence=0.01)
    response = await api.ask(WATCH, chunks=[event(), event()])
    read = 0
    async for _ in response.content.iter_chunked(1):
        read += 1
        await asyncio.sleep(0.03)  # nothing else than time is waited for
    assert read == 2


@pytest.mark.parametrize(("code", "reason"), [(500, "ErrorEvent"), (504, "ErrorEvent"), (410, "Expired")])
async def test_an_error_event_makes_it_list_anew(api: Api, code: int, reason: str) -> None:
    assert await api.watch(event("before") + error(code) + event("after")) == ["8", 410]
    assert api.texts() == ["before"]
    assert api.faults() == {("pods", reason): 1.0}


async def test_an_error_event_of_another_make(api: Api) -> None:
    assert await api.watch(b'{"object": null, "type": "ERROR"}\n') == [410]


async def test_an_object_may_speak_of_errors(api: Api) -> None:
    assert await api.watch(event('"type":"ERROR"')) == ["8"]
    assert api.texts() == ['"type":"ERROR"']
    assert api.faults() == {}


async def test_one_that_brings_nothing_is_begun_anew_later_each_time(api: Api) -> None:
    for _ in range(12):
        await api.watch(error(500))
    ceilings = [min(8.0, 0.25 * 2.0**failures) for failures in range(12)]
    assert all(top / 2 <= slept <= top for slept, top in zip(api.slept, ceilings, strict=True))
    await api.watch(event(), error(500))
    assert api.slept[-1] <= 0.25, "what has brought something is begun anew soon"


async def test_one_that_ends_as_soon_as_it_begins_is_begun_anew_later(api: Api) -> None:
    await api.watch()
    assert api.slept == [], "it has lasted, and ended as it should"
    api.lasting = 0.1
    await api.watch()
    assert len(api.slept) == 1
    assert api.faults() == {("pods", "Cut"): 1.0}


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
@pytest.mark.parametrize("url", [WATCH, LIST])
async def test_a_refusal_is_tried_again_for_ever(api: Api, url: str, status: int) -> None:
    with pytest.raises(aiohttp.ClientConnectionError, match=f"^{status} so$"):
        await api.ask(url, status)
    assert api.faults() == {("pods", "Refused"): 1.0}


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("verb", ["", "?watch=true"])
async def test_a_named_namespace_that_refuses_is_told_once_and_does_not_count(
    api: Api, verb: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    url, before = PODS.path("gone") + verb, len(caplog.records)
    api.ages.expect(PODS, "gone")
    for _ in range(3):
        api.clock.advance(9)
        api.ages.touch(PODS.path())
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.ask(url, status)
    (record,) = caplog.records[before:]
    assert f"{status} so: namespace gone" in record.getMessage()
    assert api.faults() == {("pods", "Refused"): 3.0}
    assert api.ages.oldest() == ("pods", 0.0)
    age = api.metrics.registry.get_sample_value
    assert age("cetacean_operator_watch_age_seconds", {"resource": "pods"}) == 0.0
    await api.ask(url)
    api.clock.advance(9)
    api.ages.touch(PODS.path())
    assert api.ages.oldest() == ("pods in gone", 9.0), "it is served again"
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.ask(url, status)
    assert len(caplog.records) == before + 2, "and that it is not is news again"


@pytest.mark.parametrize(("namespace", "status"), [(None, 403), (None, 404), ("sea", 500)])
async def test_other_refusals_count(api: Api, namespace: str | None, status: int) -> None:
    api.ages.expect(PODS, namespace)
    api.clock.advance(9)
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.ask(PODS.path(namespace), status)
    assert api.ages.oldest()[1] == 9.0


def test_where_every_namespace_refuses_nothing_is_old() -> None:
    clock, metrics = VirtualClock(), Metrics()
    ages = WatchLiveness(metrics, clock.time)
    ages.expect(PODS, "gone")
    clock.advance(9)
    ages.leave_out(PODS.path("gone"))
    assert ages.oldest() == ("", 0.0)
    assert metrics.registry.get_sample_value("cetacean_operator_watch_age_seconds", {"resource": "pods"}) == 0.0


@pytest.mark.parametrize("status", [401, 429])
async def test_what_kopf_waits_for_is_left_to_it(api: Api, status: int) -> None:
    assert (await api.ask(WATCH, status)).status == status


async def test_other_requests_are_answered_as_they_are(api: Api) -> None:
    assert (await api.ask("/apis", 404)).status == 404
    assert api.faults() == {}


async def test_a_past_that_is_gone_is_not_asked_for_again(api: Api) -> None:
    assert (await api.ask(WATCH, 410, 200)).status == 200
    assert api.asked == [URL(f"http://x{WATCH}").query_string, "watch=true&timeoutSeconds=60"]
    assert api.gaps == [(PODS, None)]
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.ask(WATCH, 410, 410)


@pytest.mark.parametrize("listings", [1, 2])
async def test_what_was_deleted_before_a_listing_is_looked_for(api: Api, listings: int) -> None:
    for _ in range(listings):
        await api.ask(LIST)
        await api.ask(LIST + "?continue=page-2")
        await api.ask(WATCH)
    assert api.gaps == [(PODS, None)] * listings


async def test_requests_are_counted_by_verb_and_code(api: Api) -> None:
    for url, statuses in ((WATCH, (410, 200)), (LIST, (200,)), ("/apis", (200,))):
        await api.ask(url, *statuses)

    async def nobody(_: Any) -> Any:
        raise aiohttp.ClientConnectionError

    with pytest.raises(aiohttp.ClientConnectionError):
        await api.streams(cast(aiohttp.ClientRequest, SimpleNamespace(url=URL(f"http://x{WATCH}"))), nobody)
    assert api.counted("api_requests", "verb", "code") == {
        ("watch", "410"): 1,
        ("watch", "200"): 1,
        ("watch", "0"): 1,
        ("list", "200"): 1,
        ("discover", "200"): 1,
    }


@pytest.mark.parametrize(
    ("url", "status", "age"),
    [
        (WATCH, 200, 0.0),
        (LIST, 200, 0.0),
        (WATCH, 401, 9.0),
        ("/api/v1/namespaces/sea/pods?watch=true", 200, 9.0),
        ("/api/v1/nodes", 200, 9.0),
    ],
)
async def test_an_answered_request_shows_that_a_watch_lives(api: Api, url: str, status: int, age: float) -> None:
    api.clock.advance(9)
    await api.ask(url, status)
    assert api.ages.oldest() == ("pods", age)


async def test_what_a_watch_carries_shows_that_it_lives(api: Api) -> None:
    response = await api.ask(WATCH, chunks=[event()])
    api.clock.advance(9)
    async for _ in response.content.iter_chunked(1):
        assert api.ages.oldest() == ("pods", 0.0)
    assert response.content.total_bytes == 5, "aiohttp finds all the rest as it was"


def test_each_namespace_has_a_watch_of_its_own() -> None:
    clock, metrics = VirtualClock(), Metrics()
    ages = WatchLiveness(metrics, clock.time)
    assert ages.oldest() == ("", 0.0)
    for namespace in ("sea", "lake"):
        ages.expect(PODS, namespace)
    ages.expect(MODELS, "sea")
    clock.advance(5)
    ages.touch(PODS.path("sea"))
    ages.touch(MODELS.path("sea"))
    clock.advance(1)
    assert ages.oldest() == ("pods in lake", 6.0)
    value = metrics.registry.get_sample_value
    assert value("cetacean_operator_watch_age_seconds", {"resource": "pods"}) == 6.0
    assert value("cetacean_operator_watch_age_seconds", {"resource": "cetaceanmodels"}) == 1.0
