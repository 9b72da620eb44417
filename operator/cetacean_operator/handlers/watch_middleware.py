"""What stands between kopf and the API server: events are taken in as they come, and a watch is always begun anew.

kopf keeps the watches: it lists, watches on from there, resumes, and waits where it is told to. What a watch carries it
would hand on through a task, two queues and a memo for each object, which costs several times what it takes to store
the object. So events are taken in here, and kopf is told by a bookmark how far they go.

kopf (1.45) ends the process where client-go lists anew: for a line that is no JSON, as where a connection ends in the
middle of an event, for an ERROR event other than 410, for most refusals at once and for 5xx after a minute. So each of
these is turned into what it takes for a cut connection or a past that is gone, told, and counted.

Its own bound on silent watches is not used: it is a time-out around a generator, and where it expires while an event is
being handed on it ends, without a word, the task that watches.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import aiohttp
from pydantic_core import from_json

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.resources import ResourceType
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.workers import NOT_HERE

_LOG = logging.getLogger(__name__)
Watched = tuple[ResourceType, str | None]
"""A resource, and the namespace in which it is watched; None: in all."""
_SHORTEST_WATCH = 0.5
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
# What kopf itself waits for: new credentials, and as long as the API server asks for.
_KOPFS = frozenset({401, 429})
_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})
_GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}).encode() + b"\n"


class WatchLiveness:
    """When each watch last carried anything, or was last answered: the age of what we believe."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """Feed the gauge of `metrics`; `clock` returns monotonic seconds."""
        self._metrics, self._clock = metrics, clock
        self._seen: dict[str, float] = {}
        self._watched: dict[str, Watched] = {}
        self._refused: set[str] = set()

    def expect(self, resource: ResourceType, namespace: str | None) -> None:
        """Begin to measure the watch of a resource in one namespace, or in all."""
        path = resource.path(namespace)
        self._watched[path] = (resource, namespace)
        self.touch(path)
        self._metrics.watch_age.labels(resource.plural).set_function(lambda: self._oldest_of(resource))

    def watched(self, path: str) -> Watched | None:
        """Return whose watch or listing has this URL path, None where it is another request."""
        return self._watched.get(path)

    def touch(self, path: str) -> None:
        """Take note that a watch is alive."""
        self._seen[path] = self._clock()
        self._refused.discard(path)

    def leave_out(self, path: str) -> bool:
        """Count a watch no longer, until it is touched again; return whether it has counted."""
        counted = path not in self._refused
        self._refused.add(path)
        return counted

    def oldest(self) -> tuple[str, float]:
        """Return what has been silent for longest of all that count, and for how many seconds."""
        if not (counted := self._seen.keys() - self._refused):
            return "", 0.0
        path = min(counted, key=self._seen.__getitem__)
        resource, namespace = self._watched[path]
        return resource.plural + (f" in {namespace}" if namespace else ""), self._clock() - self._seen[path]

    def _oldest_of(self, resource: ResourceType) -> float:
        paths = {path for path, (kind, _) in self._watched.items() if kind is resource} - self._refused
        return max((self._clock() - self._seen[path] for path in paths), default=0.0)


class WatchMiddleware:
    """A middleware for the session that kopf uses."""

    def __init__(
        self,
        ages: WatchLiveness,
        metrics: Metrics,
        *,
        silence: float,
        on_event: Callable[[ResourceType, Object], None],
        on_gap: Callable[[ResourceType, str | None], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Mend the watches that `ages` expects, and count all requests.

        Args:
            ages: is told whenever the API server answers or carries something.
            metrics: for the counters.
            silence: seconds after which a watch that carries nothing is begun anew.
            on_event: takes in an event; raises nothing.
            on_gap: hears what has been listed: kopf does not notice what was deleted before that.
            clock: monotonic seconds.
            sleep: waits for so many seconds.
        """
        self._ages, self._metrics, self._silence = ages, metrics, silence
        self._on_event, self._on_gap = on_event, on_gap
        self._clock, self._sleep = clock, sleep
        self._failures: dict[str, int] = {}

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Answer one request of kopf's.

        Raises:
            aiohttp.ClientConnectionError: the API server refused a watch or a listing; kopf tries that again for ever.
            TimeoutError: it did not answer; the same.
        """
        path = request.url.path
        if (watched := self._ages.watched(path)) is None:
            return await self._counted(request, handler, "discover")
        verb = "watch" if "watch" in request.url.query else "list"
        response = await self._counted(request, handler, verb)
        if response.status == 410:
            # An answer is no event, so kopf would not list anew: ask for what there is now.
            response.release()
            self._tell(path, "Expired", "410 Gone")
            request.url = request.url.without_query_params("resourceVersion", "continue")
            response = await self._counted(request, handler, verb)
            self._on_gap(*watched)
        if response.status >= 400 and response.status not in _KOPFS:
            refusal = f"{response.status} {response.reason}"
            response.release()
            self._tell_refusal(path, watched[1], response.status, refusal)
            raise aiohttp.ClientConnectionError(refusal)
        if response.status == 200:
            self._ages.touch(path)
            if verb == "watch":
                whole = _Content(response.content, lambda chunks: self._followed(path, watched[0], chunks))
                response.content = cast(aiohttp.StreamReader, whole)
            elif "continue" not in request.url.query:
                # The first time as well: the operator has listed before kopf. Further pages are as old as the first.
                self._on_gap(*watched)
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

    async def _followed(self, path: str, resource: ResourceType, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Take in whole events, and tell how far they go. Where there are no more kopf goes on from there."""
        began, rest = self._clock(), b""
        try:
            while chunk := await self._next(chunks):
                self._ages.touch(path)
                complete, newline, begun = chunk.rpartition(b"\n")
                if not newline:
                    rest += chunk
                    continue
                complete, rest = rest + complete, begun
                version, error = self._take_in(resource, complete)
                if version:
                    self._failures.pop(path, None)
                    yield _bookmark(version)
                if error is not None:
                    await self._pause(path, *_reason(error))
                    yield _GONE
                    return
        except TimeoutError:
            self._tell(path, "Silent", f"it has carried nothing for {self._silence:g} s")
        except (aiohttp.ClientError, OSError) as fault:
            await self._pause(path, "Cut", f"{type(fault).__name__}: {fault}")
        except ValueError as fault:
            await self._pause(path, "TornEvent", str(fault))
        else:
            if rest:
                await self._pause(path, "TornEvent", f"it ended after {len(rest)} bytes of an event")
            elif self._clock() - began < _SHORTEST_WATCH:
                await self._pause(path, "Cut", "it ended as soon as it began")

    def _take_in(self, resource: ResourceType, lines: bytes) -> tuple[str, Object | None]:
        """Take in events up to the first that is an ERROR; return the last one's version, and what the ERROR tells.

        Raises:
            ValueError: a line is no event; those before it are taken in.
        """
        version = ""
        for line in lines.split(b"\n"):
            if not line:
                continue
            event = _parsed(line)
            if event["type"] == "ERROR":
                told = event.get("object")
                return version, told if isinstance(told, dict) else {}
            version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] in _CHANGES:
                self._on_event(resource, event)
        return version, None

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes:
        """Return the next chunk, nothing at the end."""
        async with asyncio.timeout(self._silence):
            return await anext(chunks, b"")

    async def _pause(self, path: str, reason: str, message: str) -> None:
        """Wait before a watch is begun anew, longer each time that it brought nothing."""
        self._tell(path, reason, message)
        failures = self._failures.get(path, 0)
        self._failures[path] = failures + 1
        longest = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2.0 ** min(failures, 10))
        await self._sleep(longest * random.uniform(0.5, 1.0))

    def _tell_refusal(self, path: str, namespace: str | None, status: int, refusal: str) -> None:
        """Tell of a refusal; one by a named namespace once, for it may last and a new process would meet it too."""
        if namespace is None or status not in NOT_HERE:
            self._tell(path, "Refused", refusal)
        elif self._ages.leave_out(path):
            self._tell(
                path, "Refused", f"{refusal}: namespace {namespace} is gone, or lacks a RoleBinding; it is left out"
            )
        else:
            self._metrics.watch_faults.labels(path.rpartition("/")[2], "Refused").inc()

    def _tell(self, path: str, reason: str, message: str) -> None:
        plural = path.rpartition("/")[2]
        self._metrics.watch_faults.labels(plural, reason).inc()
        # What happens to a quiet watch as well is no warning.
        level = logging.INFO if reason in ("Expired", "Silent") else logging.WARNING
        _LOG.log(level, "watch of %s: %s", path, message, extra={"resource": plural, "reason": reason})


class _Content:
    """A response's content whose chunks are others; kopf reads nothing else of it, and aiohttp all the rest."""

    def __init__(
        self, content: aiohttp.StreamReader, through: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
    ) -> None:
        self._content, self._through = content, through

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        return self._through(self._content.iter_chunked(n))


def _parsed(line: bytes) -> Object:
    """Read an event.

    Raises:
        ValueError: it is none.
    """
    try:
        event: Object = from_json(line)
        if event["type"] == "ERROR" or isinstance(event["object"]["metadata"]["resourceVersion"], str):
            return event
    except (ValueError, TypeError, KeyError):
        pass
    raise ValueError(f"expected an event, got {line[:80]!r}")


def _bookmark(version: str) -> bytes:
    """Return what tells kopf that it need not ask for anything up to a version."""
    told = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}
    return json.dumps(told).encode() + b"\n"


def _reason(error: Object) -> tuple[str, str]:
    """Return under which reason an ERROR event is counted, and what it says."""
    code = error.get("code")
    return "Expired" if code == 410 else "ErrorEvent", f"{code} {error.get('reason')}: {error.get('message')}"
