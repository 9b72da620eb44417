"""Events are sent by a task of their own, one after the other, as in client-go: no reconcile waits for one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from cetacean_operator.api.observed import CetaceanModel
from cetacean_operator.decisions.plan import EventSpec
from cetacean_operator.kube.lease import NotLeadingError

_LOG = logging.getLogger(__name__)
_LIMIT = 10_000
"""Events that may wait; more are only logged."""
_BACKLOG_PAUSE = 1.0
"""Seconds that an Event waits while urgent resources are queued."""


class EventRecorder:
    """A queue of Events in front of the API server."""

    def __init__(
        self,
        send: Callable[[CetaceanModel, EventSpec], Awaitable[None]],
        *,
        has_urgent_backlog: Callable[[], bool] = lambda: False,
        limit: int = _LIMIT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the function that sends one Event and raises only if the lease is lost.

        While `has_urgent_backlog` returns true one Event a second is sent.
        """
        self._send, self._has_urgent_backlog, self._sleep = send, has_urgent_backlog, sleep
        self._waiting: asyncio.Queue[tuple[CetaceanModel, EventSpec]] = asyncio.Queue(limit)

    def record(self, resource: CetaceanModel, events: Iterable[EventSpec]) -> None:
        """Log events of a resource, and queue them."""
        about = replace(resource, spec={}, status={}, annotations={})  # many may wait: large parts are not kept
        for event in events:
            extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": event.reason}
            _LOG.info("%s: %s", event.reason, event.message, extra=extra)
            try:
                self._waiting.put_nowait((about, event))
            except asyncio.QueueFull:
                _LOG.warning("event %s: not sent, the queue is full", event.reason, extra=extra)

    async def run(self) -> None:
        """Send queued Events, until cancelled."""
        while True:
            resource, event = await self._waiting.get()
            if self._has_urgent_backlog():
                await self._sleep(_BACKLOG_PAUSE)
            await self._send_one(resource, event)

    async def finish(self) -> None:
        """Send all Events that still wait."""
        while not self._waiting.empty():
            await self._send_one(*self._waiting.get_nowait())

    async def _send_one(self, resource: CetaceanModel, event: EventSpec) -> None:
        try:
            await self._send(resource, event)
        except NotLeadingError as error:
            extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": "NotLeading"}
            _LOG.info("event %s: %s", event.reason, error, extra=extra)
