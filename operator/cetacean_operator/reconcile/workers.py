"""The workers behind the queue, and the listing that repairs what a watch has lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.kube.resources import CHILDREN, MODELS, PODS, SERVICE_MONITORS, ResourceType
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import Reconciler

_LOG = logging.getLogger(__name__)
_LIST_ATTEMPTS = 4
_LIST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
NOT_HERE = frozenset({403, 404})
"""What a named namespace answers that was deleted, or has lost its RoleBinding."""
# Admission webhooks give reasons of their own, any number of them: only Kubernetes' own are labels.
_REASONS = frozenset(
    [
        *("BadRequest", "Unauthorized", "Forbidden", "NotFound", "MethodNotAllowed", "NotAcceptable", "AlreadyExists"),
        *("Conflict", "Gone", "Expired", "Invalid", "RequestEntityTooLarge", "UnsupportedMediaType", "TooManyRequests"),
        *("InternalError", "ServiceUnavailable", "ServerTimeout", "Timeout", "StoreReadError"),
    ]
)


class Lister(Protocol):
    """What a listing needs of the API server."""

    def list(self, resource: ResourceType, namespace: str | None, *, label_selector: str = "") -> AsyncIterator[Object]:
        """Yield all objects."""

    async def serves(self, resource: ResourceType) -> bool:
        """Return whether this resource is served."""


async def work(queue: WorkQueue[Key], reconciler: Reconciler, metrics: Metrics, *, timeout: float) -> None:  # noqa: ASYNC109 -- a bound on each reconcile, not on this
    """Reconcile whatever is due, one resource at a time, until cancelled. Nothing ends it."""
    while True:
        key = await queue.take()
        started = time.monotonic()
        result = "error"
        try:
            async with asyncio.timeout(timeout):
                after = await reconciler.reconcile(key)
        except NotLeadingError:
            result = "not_leading"
        except NamespaceTerminatingError:
            # The resource goes with its namespace, which the watch will tell: there is nothing to try again.
            result = "ok"
            queue.succeeded(key)
            extra = {"resource": "/".join(key), "reason": "NamespaceTerminating"}
            _LOG.info("its namespace is being deleted: nothing is created there any more", extra=extra)
        except Exception as error:  # noqa: BLE001 -- one bad resource must not end a worker
            _failed(queue, metrics, key, error)
        else:
            result = "ok"
            queue.succeeded(key)
            if after is not None:
                queue.add_after(key, after + 1.0)
        finally:
            queue.done(key)
            metrics.reconcile_seconds.labels(result).observe(time.monotonic() - started)


def _failed(queue: WorkQueue[Key], metrics: Metrics, key: Key, error: Exception) -> None:
    known = isinstance(error, ApiError | TimeoutError)
    conflict = isinstance(error, ApiError) and error.code == 409
    reason = (error.reason or "NoAnswer") if isinstance(error, ApiError) else type(error).__name__
    delay = queue.retry(key, not_before=(isinstance(error, ApiError) and error.retry_after) or 0.0)
    counted = "Other" if isinstance(error, ApiError) and error.code and reason not in _REASONS else reason
    metrics.reconcile_errors.labels(counted if known else "Unexpected").inc()
    extra = {"resource": "/".join(key), "reason": reason}
    level = logging.DEBUG if conflict else logging.WARNING if known else logging.ERROR
    _LOG.log(level, "%s, again in %.1f s", str(error) or reason, delay, extra=extra, exc_info=None if known else error)


def jittered(interval: float) -> float:
    """Return an interval a fifth shorter or longer, so that replicas and clusters do not ask in step."""
    return interval * random.uniform(0.8, 1.2)


class Resync:
    """Lists everything now and then, and puts right what the store has missed."""

    def __init__(
        self,
        *,
        kube: Lister,
        store: Store,
        queue: WorkQueue[Key],
        metrics: Metrics,
        namespaces: Iterable[str],
        on_service_monitors: Callable[[bool], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the API server and what it is compared with; no namespaces: the whole cluster."""
        self._sleep = sleep
        self._kube, self._store, self._queue, self._metrics = kube, store, queue, metrics
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._on_service_monitors = on_service_monitors
        self._gaps: set[tuple[ResourceType, str | None]] = set()
        self._gap = asyncio.Event()
        self._failures = 0
        self._refused: set[tuple[ResourceType, str]] = set()

    def fill(self, resource: ResourceType, namespace: str | None) -> None:
        """List a resource soon, in one namespace or in all: its watch has begun anew and may have missed something."""
        self._gaps.add((resource, namespace))
        self._gap.set()

    async def run(self, interval: float) -> None:
        """List every `interval` seconds, with jitter, and what is to be filled at once, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + jittered(interval)
        while True:
            try:
                if await self._gap_before(due):
                    await self._fill()
                else:
                    due = loop.time() + jittered(interval)
                    await self.once(spread=interval / 10)
            except ApiError as error:
                _LOG.warning("resync: %s", error, extra={"reason": "ResyncFailed"})

    async def _gap_before(self, due: float) -> bool:
        """Wait for something to fill; return whether it came in time. Gaps that stay do not put off what is due."""
        try:
            async with asyncio.timeout_at(due):
                await self._gap.wait()
        except TimeoutError:
            return False
        return asyncio.get_running_loop().time() < due

    async def _fill(self) -> None:
        """List what is to be filled; what could not be listed stays, and is tried again after a pause."""
        self._gap.clear()
        # Taken off before they are listed: what is told during a listing may be newer than it.
        gaps, self._gaps = self._gaps, set()
        pause = 0.0
        for resource, namespace in gaps:
            try:
                await self._list_allowed(resource, namespace)
            except ApiError as error:
                self._gaps.add((resource, namespace))
                longer = min(_LONGEST_PAUSE, _LIST_PAUSE * 2.0 ** min(self._failures, 10))
                pause = max(pause, longer, error.retry_after or 0.0)
                _LOG.warning("again in %.1f s: %s", pause, error, extra={"reason": "ResyncFailed"})
            else:
                self._metrics.relists.labels(resource.plural).inc()
        self._failures = self._failures + 1 if pause else 0
        if pause:
            await self._sleep(pause)
            self._gap.set()

    async def once(self, *, spread: float = 0.0) -> None:
        """List everything now and reconcile all resources, over `spread` seconds.

        Raises:
            ApiError: something could not be listed; what was listed before it is taken in.
        """
        monitors = await self._kube.serves(SERVICE_MONITORS)
        self._on_service_monitors(monitors)
        for resource in (MODELS, PODS, *CHILDREN, *((SERVICE_MONITORS,) if monitors else ())):
            for namespace in self._namespaces:
                await self._list_allowed(resource, namespace)
            self._metrics.relists.labels(resource.plural).inc()
        for key in self._store.keys(names.KIND):
            self._queue.add_after(key, random.uniform(0.0, spread) if spread else 0.0)

    async def _list_allowed(self, resource: ResourceType, namespace: str | None) -> None:
        """List, and leave out a named namespace that refuses: it may be gone, which is no matter of the others."""
        try:
            await self._list_patiently(resource, namespace)
        except ApiError as error:
            if namespace is None or error.code not in NOT_HERE:
                raise
            if (resource, namespace) not in self._refused:
                self._refused.add((resource, namespace))
                extra = {"resource": resource.plural, "reason": "NamespaceRefused"}
                _LOG.warning("namespace %s is left out for %s: %s", namespace, resource.plural, error, extra=extra)
        else:
            if namespace is not None and (resource, namespace) in self._refused:
                self._refused.discard((resource, namespace))
                extra = {"resource": resource.plural, "reason": "NamespaceServed"}
                _LOG.info("namespace %s is served again for %s", namespace, resource.plural, extra=extra)

    async def _list_patiently(self, resource: ResourceType, namespace: str | None) -> None:
        """Try one listing again where it may succeed, so that the others need not begin anew for it."""
        for attempt in range(1, _LIST_ATTEMPTS + 1):
            try:
                await self._list(resource, namespace)
            except ApiError as error:
                # 410: the listing took so long that its next page is gone.
                if attempt == _LIST_ATTEMPTS or not (error.code in (0, 410, 429) or error.code >= 500):
                    raise
                await self._sleep(error.retry_after or _LIST_PAUSE * attempt)
            else:
                return

    async def _list(self, resource: ResourceType, namespace: str | None) -> None:
        before = {
            (space, name): entry for space, name, entry in self._store.refs(resource.kind) if namespace in (None, space)
        }
        selector = "" if resource is MODELS else names.LABEL_MODEL
        repaired = 0
        async for obj in self._kube.list(resource, namespace, label_selector=selector):
            before.pop((obj["metadata"]["namespace"], obj["metadata"]["name"]), None)
            if (key := self._store.put(obj)) is not None:
                repaired += 1
                self._queue.add(key)
        now = {(space, name): entry for space, name, entry in self._store.refs(resource.kind)}
        for (space, name), entry in before.items():
            # Listed by nobody, and not written since: it is gone.
            if now.get((space, name)) is entry and (key := self._store.remove(resource.kind, space, name, entry.uid)):
                repaired += 1
                self._queue.add(key)
        if repaired:
            self._metrics.repairs.labels(resource.plural).inc(repaired)
