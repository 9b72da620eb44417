"""What stands between kopf and the API server: whatever happens to a watch, it is begun anew.

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

from cetacean_operator.metrics import Metrics
from cetacean_operator.reconciler.kube import Object, Resource

_LOG = logging.getLogger(__name__)
Watched = tuple[Resource, str | None]
"""A resource, and the namespace in which it is watched; None: in all."""
_SHORTEST_WATCH = 0.5
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
# What kopf itself waits for: new credentials, and as long as the API server asks for.
_KOPFS = frozenset({401, 429})
_GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}).encode() + b"\n"


class WatchAges:
    """When each watch last carried anything, or was last answered: the age of what we believe."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """Feed the gauge of `metrics`; `clock` returns monotonic seconds."""
        self._metrics, self._clock = metrics, clock
        self._seen: dict[str, float] = {}
        self._watched: dict[str, Watched] = {}

    def expect(self, resource: Resource, namespace: str | None) -> None:
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

    def oldest(self) -> tuple[str, float]:
        """Return what has been silent for longest, and for how many seconds."""
        if not self._seen:
            return "", 0.0
        path = min(self._seen, key=self._seen.__getitem__)
        resource, namespace = self._watched[path]
        return resource.plural + (f" in {namespace}" if namespace else ""), self._clock() - self._seen[path]

    def _oldest_of(self, resource: Resource) -> float:
        return self._clock() - min(self._seen[path] for path, (kind, _) in self._watched.items() if kind is resource)


class Streams:
    """A middleware for the session that kopf uses."""

    def __init__(
        self,
        ages: WatchAges,
        metrics: Metrics,
        *,
        silence: float,
        on_gap: Callable[[Resource, str | None], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Mend the watches that `ages` expects, and count all requests.

        Args:
            ages: is told whenever the API server answers or carries something.
            metrics: for the counters.
            silence: seconds after which a watch that carries nothing is begun anew.
            on_gap: hears what has been listed anew: kopf does not notice what was deleted before that.
            clock: monotonic seconds.
            sleep: waits for so many seconds.
        """
        self._ages, self._metrics, self._silence, self._on_gap = ages, metrics, silence, on_gap
        self._clock, self._sleep = clock, sleep
        self._failures: dict[str, int] = {}
        self._listed: set[str] = set()

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
            self._tell(path, "Refused", refusal)
            raise aiohttp.ClientConnectionError(refusal)
        if response.status == 200:
            self._ages.touch(path)
            if verb == "watch":
                whole = _Content(response.content, lambda chunks: self._whole(path, chunks))
                response.content = cast(aiohttp.StreamReader, whole)
            elif path in self._listed:
                self._on_gap(*watched)
            self._listed.add(path)
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

    async def _whole(self, path: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Hand on whole events only. Where there are no more kopf goes on from the last that it has seen."""
        began, rest = self._clock(), b""
        try:
            while chunk := await self._next(chunks):
                self._ages.touch(path)
                complete, newline, begun = chunk.rpartition(b"\n")
                if not newline:
                    rest += chunk
                    continue
                complete, rest = rest + complete + newline, begun
                events, error = _until_error(complete)
                if events:
                    self._failures.pop(path, None)
                    yield events
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


def _until_error(lines: bytes) -> tuple[bytes, Object | None]:
    """Return the lines before the first ERROR event, and that event's object.

    Raises:
        ValueError: a line is no event. To parse each would cost as much again as kopf's own parsing: what begins and
            ends as an object is taken for one.
    """
    at = 0
    for line in lines.split(b"\n"):
        if line and not (line.startswith(b"{") and line.rstrip().endswith(b"}")):
            raise ValueError(f"expected an event, got {line[:80]!r}")
        if b'"ERROR"' in line and (event := json.loads(line)).get("type") == "ERROR":
            told = event.get("object")
            return lines[:at], told if isinstance(told, dict) else {}
        at += len(line) + 1
    return lines, None


def _reason(error: Object) -> tuple[str, str]:
    """Return under which reason an ERROR event is counted, and what it says."""
    code = error.get("code")
    return "Expired" if code == 410 else "ErrorEvent", f"{code} {error.get('reason')}: {error.get('message')}"
