"""Whatever the API server, or a proxy in front of it, answers: an error is one line, and nothing is taken for deleted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import cache
from typing import Any

from hypothesis import strategies as st
from kubernetes.aio.client import Configuration
from support.fuzzing import assert_message, bounded, fuzzed, kept
from support.mutations import TEXTS, VALUES, as_hostile_text, mutated, with_hostile_values, with_text
from support.operator_world import World, manifest
from support.pods import pod_manifest, running_status
from support.raw_http import raw_server
from support.virtual_time import VirtualClock

from cetacean_operator.api import names
from cetacean_operator.api.kinds import BY_KIND, MODELS, PODS, ResourceType
from cetacean_operator.api.observed import Object
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.kube.client import MAX_RETRY_AFTER_SECONDS, ApiClient, ApiError, Page
from cetacean_operator.kube.informer import Informer
from cetacean_operator.kube.json_reader import UnreadableError, UnreadableObject, parse_list
from cetacean_operator.kube.store import Store
from cetacean_operator.kube.watch_liveness import WatchLiveness
from cetacean_operator.kube.watch_stream import Body, WatchFaultError, parse_event, read_lines
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.cache_updater import CacheUpdater
from cetacean_operator.reconcile.queue import WorkQueue

LONGEST_ERROR = 800
"""Characters of an error of the API client: the status and the log show it."""


def model(name: str) -> Object:
    obj = manifest()
    obj["metadata"] |= {"name": name, "uid": f"uid-{name}", "resourceVersion": "10"}
    return obj


def pod(name: str) -> Object:
    return pod_manifest(name, version=10, labels={names.LABEL_MODEL: "whales"}, status=running_status("10.0.0.1"))


def listed(*items: Object) -> Object:
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "20"}, "items": list(items)}


LIST = listed(model("a"), model("b"), model("c"))
STATUS = {
    "kind": "Status",
    "status": "Failure",
    "reason": "Forbidden",
    "message": "no",
    "code": 403,
    "details": {"causes": [{"reason": "NamespaceTerminating"}], "retryAfterSeconds": 1},
}
NAME_PLACES = [("metadata",), *(("metadata", key) for key in ("namespace", "name", "uid"))]


def read_list(raw: bytes) -> Any:
    with bounded(cpu_seconds=1.0, memory=64 * 2**20):
        try:
            return parse_list(raw)
        except UnreadableError as error:
            assert_message(str(error), longest=LONGEST_ERROR)
            return None


@fuzzed(st.tuples(st.sampled_from(["spec", "status", "metadata"]), TEXTS, st.integers(0, 3)), examples=150)
def test_one_unreadable_object_never_hides_the_others(case: tuple[str, bytes, int]) -> None:
    field, text, at = case
    hostile = with_text(model("hostile"), (field,), text)
    items = [json.dumps(model(name)).encode() for name in "abc"]
    items.insert(at, hostile)
    raw = json.dumps(listed()).encode().replace(b"[]", b"[" + b",".join(items) + b"]")
    found = read_list(raw)
    # Text that is no JSON may end the object, or the list, at another place: then nothing is known.
    if found is None:
        return
    known = {item["metadata"]["name"] for item in found.items} | {item.name for item in found.unreadable}
    assert known >= {"a", "b", "c"} or "" in known
    assert len(found.items) + len(found.unreadable) >= 3


@fuzzed(st.integers(1, len(json.dumps(LIST))), examples=150)
def test_a_truncated_list_is_an_error(cut: int) -> None:
    assert read_list(json.dumps(LIST).encode()[:-cut]) is None


def check_damaged(raw: bytes) -> None:
    """Check that a list is empty only if it says so."""
    found = read_list(raw)
    if found is None or found.items or found.unreadable:
        return
    assert json.loads(raw)["items"] in ([], None)


@fuzzed(mutated((json.dumps(LIST).encode(), json.dumps(LIST, indent=1).encode())), examples=300)
def test_a_damaged_list_is_an_error_or_names_what_it_lists(raw: bytes) -> None:
    check_damaged(raw)


def brackets(raw: bytes) -> st.SearchStrategy[tuple[bytes, int]]:
    """Choose a bracket of an answer: the answer and the position."""
    return st.sampled_from([(raw, at) for at, byte in enumerate(raw) if byte in b"[]{}"])


BRACKETS = brackets(json.dumps(LIST).encode()) | brackets(json.dumps(listed()).encode())


@fuzzed(st.tuples(BRACKETS, st.sampled_from(b"[]{}x, ")), examples=300)
def test_a_list_with_another_bracket_is_an_error_or_names_what_it_lists(change: tuple[tuple[bytes, int], int]) -> None:
    (answer, at), byte = change
    raw = bytearray(answer)
    raw[at] = byte
    check_damaged(bytes(raw))


@fuzzed(with_hostile_values(LIST), examples=200)
def test_a_list_with_hostile_values_is_an_error_or_names_what_it_lists(answer: Any) -> None:
    found = read_list(json.dumps(answer).encode())
    if found is None:
        return
    assert len(found.items) + len(found.unreadable) == len(answer["items"] or ())
    for item in found.items:
        assert all(isinstance(item["metadata"][key], str) for key in ("namespace", "name", "uid"))


class Chunks:
    """The body of a watch."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


class Cluster:
    """An API server that answers with one list and one watch, and an informer with its cache."""

    def __init__(self, resource: ResourceType, raw_list: bytes, watch: list[bytes]) -> None:
        self._raw, self._watch, self._resource = raw_list, watch, resource
        self._done = asyncio.Event()
        self.lists = 0
        metrics = Metrics()
        self.store = Store(owner_of)
        self.sink = CacheUpdater(self.store, WorkQueue(VirtualClock()), metrics)
        state = WatchLiveness(metrics).expect(resource, None)
        self.informer = Informer(
            self, state, self.sink, label_selector="", silence=5.0, server_timeout=180, sleep=self._sleep
        )

    async def run(self) -> None:
        """Run the informer until it has read all; fails if it ends by itself."""
        task = asyncio.create_task(self.informer.run())
        done = asyncio.create_task(self._done.wait())
        try:
            await asyncio.wait({task, done}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            assert self._done.is_set() or not task.done() or task.result() is not None, "the informer ended"
        finally:
            for one in (task, done):
                one.cancel()
            await asyncio.gather(task, done, return_exceptions=True)

    async def list(
        self, resource: ResourceType, namespace: str | None, *, label_selector: str = ""
    ) -> AsyncIterator[Page]:
        self.lists += 1
        if self.lists > 2:
            self._done.set()
            await asyncio.Event().wait()
        try:
            answer = parse_list(self._raw)
        except UnreadableError as error:
            raise ApiError("list", "", 0, "Unreadable", str(error)) from error
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        yield Page([{**kind, **item} for item in answer.items], answer.version, answer.unreadable)

    @contextlib.asynccontextmanager
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
        if not self._watch:
            self._done.set()
            await asyncio.Event().wait()
        yield Chunks([self._watch.pop(0)])

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def after(resource: ResourceType, raw_list: bytes, *watches: bytes) -> Store:
    """Return what an informer has stored after a list and some watches."""

    async def run() -> Store:
        cluster = Cluster(resource, raw_list, list(watches))
        await cluster.run()
        return cluster.store

    with bounded(cpu_seconds=3.0):
        return asyncio.run(run())


def event(kind: str, obj: Object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


CHANGED = {**model("a"), "metadata": {**model("a")["metadata"], "resourceVersion": "30"}}
EVENTS = (
    event("MODIFIED", CHANGED),
    event("ADDED", {**CHANGED, "metadata": {**CHANGED["metadata"], "name": "d", "uid": "uid-d"}}),
    event("BOOKMARK", {"kind": "CetaceanModel", "metadata": {"resourceVersion": "31"}}),
    event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}),
)
RAW_LIST = json.dumps(LIST).encode()


@fuzzed(mutated((*EVENTS, b"".join(EVENTS))), examples=200)
def test_no_bytes_of_a_watch_end_the_informer_or_remove_an_object(watch: bytes) -> None:
    store = after(MODELS, RAW_LIST, watch)
    assert {name for _, name in store.keys(names.KIND)} >= {"a", "b", "c"}


@fuzzed(
    st.sampled_from(("ADDED", "MODIFIED", "BOOKMARK", "ERROR")).flatmap(
        lambda kind: with_hostile_values({"type": kind, "object": CHANGED})
    ),
    examples=200,
)
def test_no_value_in_an_event_ends_the_informer_or_removes_an_object(found: Any) -> None:
    store = after(MODELS, RAW_LIST, json.dumps(found).encode() + b"\n", EVENTS[1])
    assert {name for _, name in store.keys(names.KIND)} >= {"a", "b", "c"}


@fuzzed(as_hostile_text(LIST), examples=200)
def test_no_list_ends_the_informer(raw: bytes) -> None:
    after(MODELS, raw, EVENTS[0])


def settled() -> World:
    world = World()
    world.settle()
    return world


CHILDREN = settled().children
OTHERS = [("Pod", pod("p")), *((kind, obj) for (kind, _), obj in sorted(CHILDREN.items()))]


@st.composite
def hostile_object(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, Any]:
    kind, obj = draw(st.sampled_from(OTHERS))
    meta = {**obj["metadata"], "namespace": "sea", "resourceVersion": "10"}
    return kind, draw(with_hostile_values({**obj, "metadata": meta}, VALUES))


@fuzzed(hostile_object(), examples=200)
def test_no_pod_or_child_with_hostile_values_ends_the_informer(found: tuple[str, Any]) -> None:
    kind, obj = found
    resource = BY_KIND[kind]
    after(resource, json.dumps(listed(obj)).encode(), event("MODIFIED", obj))


def response(status: int, body: Any, **headers: str) -> bytes:
    raw = json.dumps(body).encode()
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n{head}\r\n".encode()
        + raw
    )


RESPONSES = (
    response(200, LIST),
    response(200, model("a")),
    response(403, STATUS),
    response(429, STATUS, Retry_After="1"),
    response(410, {**STATUS, "code": 410}),
    response(200, {"kind": "APIResourceList", "resources": [{"name": "cetaceanmodels"}]}),
)
META = {"namespace": "sea", "name": "whales", "uid": "u", "resourceVersion": "1"}


async def listed_all(client: ApiClient) -> list[Page]:
    return [page async for page in client.list(MODELS, None)]


async def watched(client: ApiClient) -> None:
    async with client.watch(MODELS, None, version="1", seconds=1, answer_within=5.0) as body:
        async for lines in read_lines(body, silence=5.0):
            for line in lines:
                parse_event(line)


CALLS: dict[str, Callable[[ApiClient], Coroutine[Any, Any, object]]] = {
    "list": listed_all,
    "get": lambda client: client.get(MODELS, "sea", "whales"),
    "apply": lambda client: client.apply(MODELS, {"metadata": META}),
    "create": lambda client: client.create(MODELS, {"metadata": META}),
    "delete": lambda client: client.delete(PODS, "sea", "p", uid="u"),
    "discover": lambda client: client.serves(MODELS),
    "watch": watched,
}


@contextlib.contextmanager
def _calls() -> Iterator[Callable[[str, bytes], object]]:
    """Yield a function that calls a server with that answer: one client for all, as a new one reads certificates."""

    async def open_client(stack: contextlib.AsyncExitStack) -> tuple[ApiClient, list[bytes]]:
        answers = [b""]
        port = await stack.enter_async_context(raw_server(answers))
        configuration = Configuration(host=f"http://127.0.0.1:{port}")
        return await stack.enter_async_context(ApiClient(configuration, timeout=5.0)), answers

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        client, answers = runner.run(open_client(stack))

        def call(verb: str, answer: bytes) -> object:
            answers[:] = [answer]
            return runner.run(CALLS[verb](client))

        try:
            yield call
        finally:
            runner.run(stack.aclose())


@cache
def _call() -> Callable[[str, bytes], object]:
    return kept(_calls())


def assert_error(error: ApiError) -> None:
    assert_message(str(error), longest=LONGEST_ERROR)
    assert_message(error.message or "none", longest=LONGEST_ERROR)
    assert error.retry_after is None or 0 <= error.retry_after <= MAX_RETRY_AFTER_SECONDS


def called(verb: str, answer: bytes) -> object:
    """Return what a call of the API client returns, None for an error, which is one line."""
    try:
        return _call()(verb, answer)
    except ApiError as error:
        assert_error(error)
    except WatchFaultError as fault:
        assert_message(str(fault), longest=LONGEST_ERROR)
    return None


@fuzzed(st.tuples(st.sampled_from(sorted(CALLS)), mutated(RESPONSES, most=3)), examples=120)
def test_no_bytes_over_the_wire_are_another_error_than_the_clients(case: tuple[str, bytes]) -> None:
    called(*case)


@fuzzed(
    st.tuples(st.sampled_from(sorted(CALLS)), with_hostile_values(STATUS), st.sampled_from((403, 404, 409, 500))),
    examples=120,
)
def test_no_value_in_a_status_object_is_another_error_than_the_clients(case: tuple[str, Any, int]) -> None:
    verb, status, code = case
    called(verb, response(code, status, Retry_After="9" * 5000))


@fuzzed(st.tuples(as_hostile_text(LIST["items"][0])), examples=60)
def test_an_object_that_is_got_is_an_object_or_an_error(case: tuple[bytes]) -> None:
    raw = case[0]
    found = called("get", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw)
    assert found is None or isinstance(found, dict)
    assert not isinstance(found, UnreadableObject)
