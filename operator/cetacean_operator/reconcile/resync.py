"""Reconciles every resource from the cache now and then, and asks meanwhile which optional kinds are served.

It also asks for the version of the API server.

As in client-go, a resync lists nothing: informers keep the cache, and list again when a watch has expired.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from cetacean_operator.api import names
from cetacean_operator.api.kinds import NEED_CRD, ResourceType
from cetacean_operator.backoff import jittered
from cetacean_operator.kube.client import ApiError
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.reconcile.queue import WorkQueue

_LOG = logging.getLogger(__name__)


class Discovery(Protocol):
    """The part of the API client that a resync needs."""

    async def serves(self, resource: ResourceType) -> bool:
        """Return true if the API server serves this kind now."""

    async def server_version(self) -> tuple[int, int] | None:
        """Return the API server's major and minor version, None if it names none."""


class Resync:
    """Queues all resources at an interval."""

    def __init__(
        self,
        *,
        api: Discovery,
        store: Store,
        queue: WorkQueue[Key],
        on_served: Callable[[ResourceType, bool], None],
        on_version: Callable[[tuple[int, int] | None], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the cache and the queue.

        Args:
            api: asked what the API server serves.
            store: the cache.
            queue: the resources to reconcile.
            on_served: called with each optional kind, and True if it is served.
            on_version: called with the API server's version, which an upgrade of the cluster changes.
            sleep: waits for seconds.
        """
        self._api, self._store, self._queue = api, store, queue
        self._on_served, self._on_version, self._sleep = on_served, on_version, sleep

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
        for resource in NEED_CRD:
            self._on_served(resource, await self._api.serves(resource))
        self._on_version(await self._api.server_version())
