"""Between kopf and the API server: every fault ends a watch, and none ends the process.

client-go lists again or resumes after a line that is no JSON (the connection ended within an event), after an ERROR
event other than 410, after a refusal, and after 5xx that last; kopf (1.45) ends the process (docs/upstream-kopf.md).
This middleware of the session that kopf uses turns each of these into a watch that has ended, logs and counts it. kopf
then resumes at the last version that it saw. Lines pass unchanged or not at all: kopf sees nothing that the API server
did not send.

kopf reports no deletion that it missed between an expired watch and the list that follows. The list does not name what
is gone, so the names in it are handed to `EventSink.replace`, as an informer does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import aiohttp

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.informer import EventSink, all_named
from cetacean_operator.kube.json_reader import UnreadableError, UnreadableObject, parse_list, parse_object
from cetacean_operator.kube.watch_liveness import WatchLiveness, WatchState
from cetacean_operator.kube.watch_stream import Body, WatchFaultError, error_of, parse_event, read_lines
from cetacean_operator.metrics.collectors import Metrics

_SHORTEST_WATCH = 0.5
_GONE = 410
# kopf handles these itself: it asks for new credentials, and waits as long as the API server says.
_HANDLED_BY_KOPF = frozenset({401, 429})


class WatchMiddleware:
    """A client middleware for the aiohttp session that kopf uses."""

    def __init__(
        self,
        liveness: WatchLiveness,
        metrics: Metrics,
        sink: EventSink,
        *,
        silence: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Guard the watches that `liveness` expects, and count all requests.

        Args:
            liveness: records that the API server answers, and what fails.
            metrics: for the counter of requests.
            sink: forgets what a list does not name.
            silence: seconds after which a watch that carries nothing is opened again.
            sleep: waits for so many seconds.
        """
        self._liveness, self._metrics, self._sink = liveness, metrics, sink
        self._silence, self._sleep = silence, sleep
        self._listed: dict[str, set[tuple[str, str]]] = {}

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send one request of kopf's and return the answer.

        Raises:
            aiohttp.ClientConnectionError: the API server refused a list or a watch; kopf tries again without end.
            TimeoutError: it did not answer in time; the same.
        """
        query = request.url.query
        verb = "watch" if "watch" in query else "list"
        state = self._liveness.find(request.url.path)
        response = await self._counted(request, handler, verb if state else "discover")
        if state is None or response.status in _HANDLED_BY_KOPF:
            return response
        if verb == "watch" and response.status == _GONE:
            # The API server may report an expired version in this way, too. kopf reads its Status as an event only.
            status = b'{"type":"ERROR","object":' + (await response.read()).replace(b"\n", b" ") + b"}\n"
            response.status = 200
            return _with_content(response, self._lines_of(state, _Whole(status)))
        if response.status >= 400:
            refusal = f"{response.status} {response.reason}"
            response.release()
            state.rejected(response.status, refusal)
            raise aiohttp.ClientConnectionError(refusal)
        state.touch()
        if verb == "watch":
            return _with_content(response, self._lines_of(state, response.content))
        await self._note_list(state, response, first="continue" not in query)
        return response

    async def _counted(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType, verb: str
    ) -> aiohttp.ClientResponse:
        code = 0
        try:
            async with asyncio.timeout(self._silence):
                response = await handler(request)
            code = response.status
        finally:
            self._metrics.api_requests.labels(verb, str(code)).inc()
        return response

    async def _note_list(self, state: WatchState, response: aiohttp.ClientResponse, *, first: bool) -> None:
        """Collect the names in a list, page by page; after the last one the sink forgets all others."""
        try:
            page = parse_list(await response.read())  # kept by the response: kopf reads the same
        except UnreadableError as error:
            await self._sleep(state.failed("Unreadable", str(error)))
            raise aiohttp.ClientConnectionError(str(error)) from error
        names = self._listed.setdefault(state.path, set())
        if first:
            names.clear()
        names.update((item["metadata"]["namespace"], item["metadata"]["name"]) for item in page.items)
        for unreadable in page.unreadable:
            names.add((unreadable.namespace, unreadable.name))
            self._sink.report_unreadable(state.resource, unreadable)
        state.progressed()
        if not page.continue_token:
            del self._listed[state.path]
            if all_named(names):
                self._sink.replace(state.resource, state.namespace, names, page.version)

    async def _lines_of(self, state: WatchState, body: Body) -> AsyncIterator[bytes]:
        """Yield the lines of one watch that kopf can read, as they are; end at the first fault."""
        began, brought = state.clock(), False
        try:
            async for lines in read_lines(body, silence=self._silence):
                state.touch()
                for line in lines:
                    event = parse_event(line)
                    if isinstance(event, UnreadableObject):
                        self._sink.report_unreadable(state.resource, event)
                        continue  # kopf could not parse it either, and would end the process
                    fault = error_of(event)
                    if fault is None:
                        brought = True
                        state.progressed()
                        # The echo of an own write is stored already, and takes kopf a millisecond each time.
                        if event["type"] == "BOOKMARK" or not self._sink.is_known(state.resource, event):
                            yield line + b"\n"
                        continue
                    await self._sleep(state.failed(fault.reason, str(fault)))
                    if fault.reason == "Expired":
                        yield line + b"\n"  # kopf lists again
                    return
        except WatchFaultError as fault:
            await self._sleep(state.failed(fault.reason, str(fault)))
        else:
            if not brought and state.clock() - began < _SHORTEST_WATCH:
                await self._sleep(state.failed("Cut", "the API server ended it at once"))


class TolerantResponse(aiohttp.ClientResponse):
    """A response whose lists leave out objects that cannot be read: kopf would end the process."""

    async def json(self, **_: Any) -> Any:
        """Read the body as JSON.

        Raises:
            aiohttp.ClientPayloadError: it is no JSON object, and no list of objects.
        """
        raw = await self.read()
        answer: Object = {}
        try:
            answer = parse_object(raw)
            if "items" not in answer:
                return answer
        except UnreadableError:
            pass
        try:
            page = parse_list(raw)
        except UnreadableError as error:
            raise aiohttp.ClientPayloadError(str(error)) from error
        metadata = {"resourceVersion": page.version, "continue": page.continue_token}
        return {**answer, "metadata": metadata, "items": page.items}


class _Whole:
    """A body that has been read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        yield self._body


class _Content:
    """The content of a response with other chunks; kopf reads these, and aiohttp all other attributes."""

    def __init__(self, content: aiohttp.StreamReader, chunks: AsyncIterator[bytes]) -> None:
        self._content, self._chunks = content, chunks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        return self._chunks


def _with_content(response: aiohttp.ClientResponse, chunks: AsyncIterator[bytes]) -> aiohttp.ClientResponse:
    response.content = cast(aiohttp.StreamReader, _Content(response.content, chunks))
    return response
