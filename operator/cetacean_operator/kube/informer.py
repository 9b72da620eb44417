"""LIST, replace, WATCH from that version: a plain informer after client-go's reflector, for one kind.

It lists once at start and once when the API server says that its version has expired, or reports an error in the watch.
Any other end of a watch resumes at the last version that came.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cetacean_operator.api.kinds import ResourceType
from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import ApiError, Page
from cetacean_operator.kube.json_reader import UnreadableObject
from cetacean_operator.kube.watch_liveness import WatchState
from cetacean_operator.kube.watch_stream import CHANGES, Body, WatchFaultError, error_of, parse_event, read_lines

_GONE = 410
_SHORTEST_WATCH = 0.5
"""Seconds; a watch that ends earlier than that, and brings nothing, did not end by the API server's time-out."""


class ListWatch(Protocol):
    """The part of the API client that an informer needs."""

    def list(self, resource: ResourceType, namespace: str | None, *, label_selector: str = "") -> AsyncIterator[Page]:
        """Yield all objects of a kind, page by page."""

    def watch(
        self,
        resource: ResourceType,
        namespace: str | None,
        *,
        version: str,
        label_selector: str = "",
        seconds: int,
        answer_within: float,
    ) -> AbstractAsyncContextManager[Body]:
        """Watch a kind from a version on."""


class EventSink(Protocol):
    """Takes the objects of a kind; raises nothing."""

    def report_unreadable(self, resource: ResourceType, found: UnreadableObject) -> None:
        """Report an object that cannot be parsed; its last readable state stays."""

    def store_event(self, resource: ResourceType, event: Object) -> None:
        """Store the object of a watch event, or forget it."""

    def is_known(self, resource: ResourceType, event: Object) -> bool:
        """Return true if the event brings no later version than the stored one."""

    def replace(self, resource: ResourceType, namespace: str | None, names: set[tuple[str, str]], version: str) -> None:
        """Forget what a list did not name: namespace and name of all that it did, and its resourceVersion."""


def all_named(names: Iterable[tuple[str, str]]) -> bool:
    """Return false if a listed object has no readable name: it may be any, so nothing is known to be gone.

    Args:
        names: namespace and name of all objects in a list.
    """
    return all(name for _, name in names)


class Informer:
    """Keeps a sink up to date with one kind, in one namespace or in all."""

    def __init__(
        self,
        api: ListWatch,
        watch: WatchState,
        sink: EventSink,
        *,
        label_selector: str,
        silence: float,
        server_timeout: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the API server and the sink; nothing is asked yet.

        Args:
            api: lists and watches.
            watch: kind and namespace; records that the API server answers, and what fails.
            sink: takes the objects.
            label_selector: of the objects; empty for all of the kind.
            silence: seconds after which a watch that is not answered, or carries nothing, is opened again.
            server_timeout: seconds after which the API server ends a watch.
            sleep: waits for so many seconds.
        """
        self._api, self._state, self._sink = api, watch, sink
        self._selector, self._silence, self._server_timeout = label_selector, silence, server_timeout
        self._sleep = sleep
        self._version = ""
        self._listed = asyncio.Event()

    async def synced(self) -> None:
        """Wait for the first list; a refusal that may last counts as one."""
        await self._listed.wait()

    @property
    def is_listed(self) -> bool:
        """True if the kind has been listed once, or a named namespace or an optional kind was refused."""
        return self._listed.is_set()

    async def run(self) -> None:
        """List and watch until cancelled; no fault of the API server ends it."""
        while True:
            try:
                await self._list()
                await self._watch()
            except ApiError as error:
                await self._wait_after(error)

    async def _list(self) -> None:
        """List the kind, store what there is, and forget the rest.

        Raises:
            ApiError: it could not be listed whole; what came is stored.
        """
        resource, namespace, version = self._state.resource, self._state.namespace, ""
        names: set[tuple[str, str]] = set()
        async for page in self._api.list(resource, namespace, label_selector=self._selector):
            version = page.version
            for obj in page.items:
                names.add((obj["metadata"]["namespace"], obj["metadata"]["name"]))
                self._sink.store_event(resource, {"type": None, "object": obj})
            for unreadable in page.unreadable:
                names.add((unreadable.namespace, unreadable.name))
                self._sink.report_unreadable(resource, unreadable)
        if all_named(names):
            self._sink.replace(resource, namespace, names, version)
        self._version = version
        self._state.touch()
        self._state.progressed()
        self._listed.set()

    async def _watch(self) -> None:
        """Watch over as many connections as it takes; return when a new list is needed."""
        while True:
            pause, began, version = 0.0, self._state.clock(), self._version
            try:
                await self._follow()
                if self._version == version and self._state.clock() - began < _SHORTEST_WATCH:
                    pause = self._state.failed("Cut", "the API server ended it at once")
            except WatchFaultError as fault:
                pause = self._state.failed(fault.reason, str(fault))
                if fault.reason in ("Expired", "ErrorEvent"):
                    return await self._sleep(pause)
            except ApiError as error:
                if error.code == _GONE:
                    return await self._sleep(self._state.failed("Expired", str(error)))
                await self._wait_after(error)
            if pause:
                await self._sleep(pause)

    async def _follow(self) -> None:
        """Open one watch and store what it brings, until the API server ends it.

        Raises:
            ApiError: it was refused.
            WatchFaultError: it broke.
        """
        resource, namespace = self._state.resource, self._state.namespace
        async with self._api.watch(
            resource,
            namespace,
            version=self._version,
            label_selector=self._selector,
            seconds=self._server_timeout,
            answer_within=self._silence,
        ) as body:
            self._state.touch()
            async for lines in read_lines(body, silence=self._silence):
                self._state.touch()
                for line in lines:
                    event = parse_event(line)
                    if isinstance(event, UnreadableObject):
                        self._sink.report_unreadable(resource, event)
                        self._version = event.version
                        continue
                    if (fault := error_of(event)) is not None:
                        raise fault
                    if event["type"] in CHANGES:
                        self._sink.store_event(resource, event)
                    self._version = event["object"]["metadata"]["resourceVersion"]
                    self._state.progressed()

    async def _wait_after(self, error: ApiError) -> None:
        pause = self._state.rejected(error.code, str(error))
        if self._state.refused:
            self._listed.set()
        await self._sleep(max(pause, error.retry_after or 0.0))
