"""The informers of pods, children and optional kinds, one for each kind and namespace.

Optional kinds come and go with their CRD.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cetacean_operator.api.kinds import CHILDREN, NEED_CRD, PODS, ResourceType
from cetacean_operator.kube.informer import Informer
from cetacean_operator.kube.watch_liveness import WatchLiveness, WatchState


@dataclass(frozen=True, slots=True)
class _Running:
    """One informer that runs."""

    state: WatchState
    informer: Informer
    task: asyncio.Task[None]


class Informers:
    """Runs all informers in one task group: if one ends, all end."""

    def __init__(
        self, make: Callable[[WatchState], Informer], liveness: WatchLiveness, namespaces: Iterable[str]
    ) -> None:
        """Take the function that makes an informer; no namespaces: the whole cluster."""
        self._make, self._liveness = make, liveness
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._informers: list[Informer] = []
        self._optional: dict[ResourceType, list[_Running]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._started = asyncio.Event()

    async def run(self, *, optional: Iterable[ResourceType] = ()) -> None:
        """List and watch every kind until cancelled; of the optional ones only these."""
        async with asyncio.TaskGroup() as self._group:
            for resource in (PODS, *CHILDREN):
                self._start(resource)
            for resource in optional:
                self.set_served(resource, served=True)
            self._started.set()

    async def synced(self) -> None:
        """Wait until every kind has been listed once."""
        await self._started.wait()
        for informer in self._informers:
            await informer.synced()

    def set_served(self, resource: ResourceType, *, served: bool) -> None:
        """Begin to watch an optional kind, or end it, as its CRD has come or gone."""
        if served and resource not in self._optional:
            self._optional[resource] = self._start(resource)
        elif not served:
            for running in self._optional.pop(resource, ()):
                running.task.cancel()
                self._liveness.forget(running.state)

    def unreadable(self, resource: ResourceType, namespace: str) -> str | None:
        """Return why the objects of an optional kind in a namespace are not known, None if they are."""
        found = [run for run in self._optional.get(resource, ()) if run.state.namespace in (None, namespace)]
        if not found:
            return f"the cluster does not serve {resource.plural}.{resource.group}: its CRD is not installed"
        if any(run.state.refused for run in found):
            return f"the API server refuses to list {resource.plural}.{resource.group}"
        if not all(run.informer.is_listed for run in found):
            return f"{resource.plural}.{resource.group} are not listed yet"
        return None

    def _start(self, resource: ResourceType) -> list[_Running]:
        assert self._group is not None, "only while it runs"  # noqa: S101 -- a programmer's error
        started = []
        for namespace in self._namespaces:
            state = self._liveness.expect(resource, namespace, optional=resource in NEED_CRD)
            informer = self._make(state)
            self._informers.append(informer)
            task = self._group.create_task(informer.run(), name=f"informer of {state.path}")
            started.append(_Running(state, informer, task))
        return started
