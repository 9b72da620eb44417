"""The informers of pods and children: one for each kind and namespace. ServiceMonitors come and go with their CRD."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from cetacean_operator.kube.informer import Informer
from cetacean_operator.kube.resources import CHILDREN, PODS, SERVICE_MONITORS, ResourceType
from cetacean_operator.kube.watch_liveness import WatchLiveness, WatchState


class Informers:
    """Runs all informers in one task group: if one ends, all end."""

    def __init__(
        self, make: Callable[[WatchState], Informer], liveness: WatchLiveness, namespaces: Iterable[str]
    ) -> None:
        """Take the function that makes an informer; no namespaces: the whole cluster."""
        self._make, self._liveness = make, liveness
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._informers: list[Informer] = []
        self._monitors: list[tuple[WatchState, asyncio.Task[None]]] = []
        self._group: asyncio.TaskGroup | None = None
        self._started = asyncio.Event()

    async def run(self, *, service_monitors: bool) -> None:
        """List and watch every kind until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            for resource in (PODS, *CHILDREN):
                self._start(resource)
            self.set_service_monitors(served=service_monitors)
            self._started.set()

    async def synced(self) -> None:
        """Wait until every kind has been listed once."""
        await self._started.wait()
        for informer in self._informers:
            await informer.synced()

    def set_service_monitors(self, *, served: bool) -> None:
        """Begin to watch ServiceMonitors, or end it, as their CRD has come or gone."""
        if served and not self._monitors:
            self._monitors = self._start(SERVICE_MONITORS)
        elif not served:
            for state, task in self._monitors:
                task.cancel()
                self._liveness.forget(state)
            self._monitors = []

    def _start(self, resource: ResourceType) -> list[tuple[WatchState, asyncio.Task[None]]]:
        assert self._group is not None, "only while it runs"  # noqa: S101 -- a programmer's error
        started = []
        for namespace in self._namespaces:
            state = self._liveness.expect(resource, namespace)
            informer = self._make(state)
            self._informers.append(informer)
            started.append((state, self._group.create_task(informer.run(), name=f"informer of {state.path}")))
        return started
