"""Events are told beside the reconciles, one after the other, as client-go does: no pod waits for one."""

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
_PATIENCE = 1.0
"""Seconds that an event waits for resources that are more urgent."""


class EventRecorder:
    """What is still to be told, in order."""

    def __init__(
        self,
        send: Callable[[CetaceanModel, EventSpec], Awaitable[None]],
        *,
        pressed: Callable[[], bool] = lambda: False,
        limit: int = _LIMIT,
    ) -> None:
        """Take the function that sends one event and raises only where the lease is lost.

        While `pressed` says that resources wait for what they are to serve, one event a second is told.
        """
        self._send, self._pressed = send, pressed
        self._waiting: asyncio.Queue[tuple[CetaceanModel, EventSpec]] = asyncio.Queue(limit)

    def tell(self, resource: CetaceanModel, events: Iterable[EventSpec]) -> None:
        """Tell of transitions, soon."""
        about = replace(resource, spec={}, status={}, annotations={})  # many may wait: what is large is not kept
        for event in events:
            extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": event.reason}
            _LOG.info("%s: %s", event.reason, event.message, extra=extra)
            try:
                self._waiting.put_nowait((about, event))
            except asyncio.QueueFull:
                _LOG.warning("event %s: too many wait to be told", event.reason, extra=extra)

    async def run(self) -> None:
        """Tell what comes, until cancelled."""
        while True:
            resource, event = await self._waiting.get()
            if self._pressed():
                await asyncio.sleep(_PATIENCE)
            await self._one(resource, event)

    async def finish(self) -> None:
        """Tell what is left."""
        while not self._waiting.empty():
            await self._one(*self._waiting.get_nowait())

    async def _one(self, resource: CetaceanModel, event: EventSpec) -> None:
        try:
            await self._send(resource, event)
        except NotLeadingError as error:
            extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": "NotLeading"}
            _LOG.info("event %s: %s", event.reason, error, extra=extra)
