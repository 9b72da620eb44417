"""The middleware forwards lines unchanged; a fault ends the watch after the last whole line, and never the process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_time import VirtualClock
from yarl import URL

from cetacean_operator.api.kinds import MODELS, ResourceType
from cetacean_operator.handlers.watch_middleware import WatchMiddleware
from cetacean_operator.kube.json_reader import UnreadableObject
from cetacean_operator.kube.watch_liveness import WatchLiveness
from cetacean_operator.metrics.collectors import Metrics

PATH = MODELS.path(None)
WATCH = f"{PATH}?watch=true&resourceVersion=7&timeoutSeconds=60"
LIST = PATH
Chunk = bytes | Exception | asyncio.Event


def line(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def event(text: str = "", *, version: str = "8", kind: str = "MODIFIED") -> bytes:
    return line(kind, {"metadata": {"resourceVersion": version}, "text": text})


def error(code: int, reason: str = "InternalError") -> bytes:
    return line("ERROR", {"kind": "Status", "code": code, "reason": reason, "message": "etcd has no leader"})


class Server:
    """An API server; `ask` sends a request of kopf through the middleware."""

    def __init__(self, *, silence: float = 60.0) -> None:
        self.clock, self.metrics = VirtualClock(), Metrics()
        self.slept: list[float] = []
        self.replaced: list[tuple[str | None, set[tuple[str, str]], str]] = []
        self.unreadable: list[str] = []
        self.known: set[int] = set()
        """Versions that are stored already."""
        self.watch_seconds = 60.0
        """The duration of each watch."""
        self.liveness = WatchLiveness(self.metrics, self.clock.time)
        self.state = self.liveness.expect(MODELS, None)
        self.middleware = WatchMiddleware(self.liveness, self.metrics, self, silence=silence, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def store_event(self, _resource: ResourceType, _event: dict[str, Any]) -> None:
        raise AssertionError("kopf's handler stores events")

    def is_known(self, _resource: ResourceType, event: dict[str, Any]) -> bool:
        return int(event["object"]["metadata"]["resourceVersion"]) in self.known

    def report_unreadable(self, _: ResourceType, found: UnreadableObject) -> None:
        self.unreadable.append(found.name)

    def replace(self, _: ResourceType, namespace: str | None, names: set[tuple[str, str]], version: str) -> None:
        self.replaced.append((namespace, names, version))

    async def ask(
        self, url: str, status: int = 200, *, chunks: Iterable[Chunk] = (), body: Any = None
    ) -> aiohttp.ClientResponse:
        async def handler(_: Any) -> Any:
            content = SimpleNamespace(iter_chunked=lambda _: self._carry(chunks), total_bytes=5)

            async def read() -> bytes:
                return body if isinstance(body, bytes) else json.dumps(body).encode()

            return SimpleNamespace(status=status, reason="so", content=content, release=lambda: None, read=read)

        request = cast(aiohttp.ClientRequest, SimpleNamespace(url=URL(f"http://x{url}")))
        return await self.middleware(request, handler)

    async def _carry(self, chunks: Iterable[Chunk]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            if isinstance(chunk, Exception):
                raise chunk
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
                continue
            yield chunk
        self.clock.advance(self.watch_seconds)

    async def watch(self, *chunks: Chunk) -> bytes:
        """Return the bytes that kopf reads of a watch with these chunks."""
        return await content(await self.ask(WATCH, chunks=chunks))

    def counted(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"cetacean_operator_{name}_total"
        }

    def faults(self) -> dict[tuple[str, ...], float]:
        return self.counted("watch_faults", "resource", "reason")


async def content(response: aiohttp.ClientResponse) -> bytes:
    return b"".join([chunk async for chunk in response.content.iter_chunked(1 << 20)])


@pytest.fixture
def server() -> Server:
    return Server()


@given(texts=st.lists(st.text(max_size=5), max_size=5), cut=st.integers(0, 300))
async def test_lines_pass_unchanged(texts: list[str], cut: int) -> None:
    server, sent = Server(), b"".join(event(text) for text in texts)
    assert await server.watch(*filter(None, (sent[:cut], sent[cut:]))) == sent
    assert server.faults() == {}


async def test_bookmarks_pass_unchanged(server: Server) -> None:
    bookmark = event(kind="BOOKMARK", version="30")
    assert await server.watch(bookmark) == bookmark


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (b"upstream timed out\n", "TornEvent"),
        (b'{"type": "MODI', "TornEvent"),
        (b'{"type": "ADDED", "object": {}}\n', "TornEvent"),
        (error(500), "ErrorEvent"),
        (error(504), "ErrorEvent"),
        (aiohttp.ClientPayloadError("cut"), "Cut"),
        (OSError(5), "Cut"),
    ],
)
async def test_a_fault_ends_the_watch_after_the_last_good_line(server: Server, fault: Chunk, reason: str) -> None:
    assert await server.watch(event("before"), fault, event("after")) == event("before")
    assert server.faults() == {("cetaceanmodels", reason): 1.0}
    assert len(server.slept) == 1, "there is a pause before kopf opens it again"


async def test_a_silent_watch_is_ended() -> None:
    server = Server(silence=0.01)
    assert await server.watch(event("before"), asyncio.Event(), event("after")) == event("before")
    assert server.faults() == {("cetaceanmodels", "Silent"): 1.0}


async def test_an_expired_version_in_a_watch_is_passed_on_so_that_kopf_lists_again(server: Server) -> None:
    gone = error(410, "Expired")
    assert await server.watch(event("before"), gone, event("after")) == event("before") + gone
    assert server.faults() == {("cetaceanmodels", "Expired"): 1.0}


async def test_an_expired_version_as_a_status_reaches_kopf_as_the_event_with_that_status(server: Server) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    response = await server.ask(WATCH, 410, body=status)
    assert response.status == 200
    assert json.loads(await content(response)) == {"type": "ERROR", "object": status}
    assert server.faults() == {("cetaceanmodels", "Expired"): 1.0}


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
@pytest.mark.parametrize("url", [WATCH, LIST])
async def test_a_refusal_is_a_connection_error_which_kopf_tries_again(server: Server, url: str, status: int) -> None:
    with pytest.raises(aiohttp.ClientConnectionError, match=f"^{status} so$"):
        await server.ask(url, status)
    assert server.faults() == {("cetaceanmodels", "Refused"): 1.0}


async def test_an_expired_page_of_a_list_is_a_connection_error(server: Server) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await server.ask(f"{LIST}?continue=two", 410)


@pytest.mark.parametrize("status", [401, 429])
async def test_kopf_handles_missing_credentials_and_throttling_itself(server: Server, status: int) -> None:
    assert (await server.ask(WATCH, status)).status == status


async def test_a_request_without_an_answer_times_out() -> None:
    server = Server(silence=0.01)

    async def hang(_: Any) -> Any:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await server.middleware(cast(aiohttp.ClientRequest, SimpleNamespace(url=URL(f"http://x{WATCH}"))), hang)
    assert server.counted("api_requests", "verb", "code") == {("watch", "0"): 1}


async def test_other_requests_pass_unchanged(server: Server) -> None:
    assert (await server.ask("/apis", 404)).status == 404
    assert server.faults() == {}


async def test_there_is_a_pause_after_a_watch_that_ends_at_once(server: Server) -> None:
    await server.watch()
    assert server.slept == [], "a watch that ends after a while needs no pause"
    server.watch_seconds = 0.1
    await server.watch()
    assert len(server.slept) == 1
    assert server.faults() == {("cetaceanmodels", "Cut"): 1.0}


def page(*names: str, token: str = "") -> dict[str, Any]:
    items = [{"metadata": {"namespace": "sea", "name": name, "uid": name}} for name in names]
    return {"metadata": {"resourceVersion": "40", "continue": token}, "items": items}


async def test_the_names_of_a_list_are_passed_on_after_its_last_page(server: Server) -> None:
    for _ in range(2):
        await server.ask(LIST, body=page("a", token="two"))
        assert server.replaced == []
        await server.ask(f"{LIST}?continue=two", body=page("b"))
        assert server.replaced == [(None, {("sea", "a"), ("sea", "b")}, "40")]
        server.replaced.clear()


async def test_the_names_of_an_unfinished_list_are_dropped(server: Server) -> None:
    await server.ask(LIST, body=page("deleted-meanwhile", token="two"))
    await server.ask(LIST, body=page("a"))
    assert server.replaced == [(None, {("sea", "a")}, "40")]


DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
META = b'{"namespace":"sea","name":"deep","uid":"u","resourceVersion":"9"}'
DEEP_MODEL = b'{"metadata":' + META + b',"spec":' + DEEP + b"}"


async def test_an_event_that_cannot_be_parsed_is_reported_and_the_watch_goes_on(server: Server) -> None:
    deep = b'{"type":"ADDED","object":' + DEEP_MODEL + b"}\n"
    assert await server.watch(event("before"), deep, event("after")) == event("before") + event("after")
    assert server.unreadable == ["deep"]
    assert server.faults() == {}


async def test_an_object_that_cannot_be_parsed_is_left_out_of_a_list_and_not_taken_for_gone(server: Server) -> None:
    whole = json.dumps(page("a")).encode()
    await server.ask(LIST, body=whole[:-2] + b"," + DEEP_MODEL + b"]}")
    assert server.unreadable == ["deep"]
    assert server.replaced == [(None, {("sea", "a"), ("sea", "deep")}, "40")]


@pytest.mark.parametrize("body", [b"<html>login</html>", b"[]", b'{"kind":"Status","metadata":{}}', b""])
async def test_an_answer_that_is_no_list_removes_nothing_and_is_tried_again(server: Server, body: bytes) -> None:
    with pytest.raises(aiohttp.ClientConnectionError, match="expected a"):
        await server.ask(LIST, body=body)
    assert server.replaced == []
    assert server.faults() == {("cetaceanmodels", "Unreadable"): 1.0}


async def test_an_object_without_a_name_keeps_the_list_from_removing_anything(server: Server) -> None:
    whole = json.dumps(page("a")).encode()
    await server.ask(LIST, body=whole[:-2] + b',{"spec":' + DEEP + b"}]}")
    assert server.replaced == []


async def test_requests_are_counted_by_verb_and_code(server: Server) -> None:
    await server.ask(WATCH)
    await server.ask(LIST, body=page())
    await server.ask("/apis")
    assert server.counted("api_requests", "verb", "code") == {
        ("watch", "200"): 1,
        ("list", "200"): 1,
        ("discover", "200"): 1,
    }


@pytest.mark.parametrize(
    ("url", "status", "age"),
    [(WATCH, 200, 0.0), (LIST, 200, 0.0), (WATCH, 401, 9.0), ("/api/v1/nodes", 200, 9.0)],
)
async def test_an_answer_resets_the_age_of_its_watch(server: Server, url: str, status: int, age: float) -> None:
    server.clock.advance(9)
    await server.ask(url, status, body=page())
    assert server.state.age == age


async def test_each_line_resets_the_age_of_its_watch(server: Server) -> None:
    response = await server.ask(WATCH, chunks=[event()])
    server.clock.advance(9)
    async for _ in response.content.iter_chunked(1):
        assert server.state.age == 0.0
    assert response.content.total_bytes == 5, "other attributes of the content pass through"


async def test_the_echo_of_an_own_write_is_left_out_and_a_bookmark_never_is(server: Server) -> None:
    server.known = {8, 30}
    bookmark = event(kind="BOOKMARK", version="30")
    assert await server.watch(event(version="8"), event(version="9"), bookmark) == event(version="9") + bookmark
    assert server.faults() == {}
