"""Reconciles every resource from the cache now and then, and asks which optional kinds are served meanwhile.

As in client-go, a resync lists nothing: informers keep the cache, and list again when a watch has expired.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from cetacean_operator.api import names
from cetacean_operator.backoff import jittered
from cetacean_operator.kube.client import ApiError
from cetacean_operator.kube.resources import OPTIONAL, ResourceType
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.reconcile.queue import WorkQueue

_LOG = logging.getLogger(__name__)


class Discovery(Protocol):
    """The part of the API client that a resync needs."""

    async def serves(self, resource: ResourceType) -> bool:
        """Return true if the API server serves this kind now."""


class Resync:
    """Queues all resources at an interval."""

    def __init__(
        self,
        *,
        api: Discovery,
        store: Store,
        queue: WorkQueue[Key],
        on_served: Callable[[ResourceType, bool], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the cache and the queue; `on_served` is called with each optional kind, and True if it is served."""
        self._api, self._store, self._queue = api, store, queue
        self._on_served, self._sleep = on_served, sleep

    async def run(self, interval: float) -> None:
        """Resync every `interval` seconds, with jitter, until cancelled."""
        while True:
            await self._sleep(jittered(interval))
            try:
                await self.once(spread=interval / 10)
            except ApiError as error:
                _LOG.warning("resync: %s", error, extra={"reason": "ResyncFailed"})

    async def once(self, *, spread: float) -> None:
        """Queue every resource within `spread` seconds.

        Raises:
            ApiError: the API server did not say which kinds it serves.
        """
        for key in self._store.keys(names.KIND):
            self._queue.add_after(key, random.uniform(0.0, spread))
        for resource in OPTIONAL:
            self._on_served(resource, await self._api.serves(resource))
