"""The client, the same for all: it sends applies and patches in parallel, and watches their results."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from benchmarks.machine import BenchmarkError
from benchmarks.operator.contestants import Patch
from benchmarks.operator.world import NAMESPACE

from cetacean_operator.api.kinds import ResourceType
from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.kube.connection import Connection, load_configuration

ABREAST: Final = 100
"""Requests under way at the same time."""
# Only metadata is read: parsing whole objects would make the client the bottleneck.
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MadeOf = Callable[[Mapping[str, Any]], tuple[str, str] | None]


class Watched:
    """The number of versions seen of each resource's workload, and the time of the last change."""

    def __init__(self, made_of: MadeOf) -> None:
        """Take the function that reads a resource's name and a version out of a workload's metadata."""
        self._made_of = made_of
        self._versions: dict[str, set[str]] = {}
        self._missing: dict[str, int] = {}
        self._done, self._done_at = asyncio.Event(), 0.0
        self.moved_at = time.monotonic()

    def expect_one_more(self, names: Iterable[str]) -> None:
        """Expect one more version of each of these from now on."""
        self._missing = {name: len(self._versions.get(name, ())) + 1 for name in names}
        self._done.clear()

    async def reached(self, within: float) -> float:
        """Return the time (monotonic, seconds) at which the last of them was seen.

        Raises:
            BenchmarkError: it did not come within so many seconds.
        """
        try:
            async with asyncio.timeout(within):
                await self._done.wait()
        except TimeoutError:
            left = sorted(self._missing)
            raise BenchmarkError(f"waited {within:.0f} s for {len(left)} workloads: {', '.join(left[:5])}…") from None
        return self._done_at

    async def quiet(self, seconds: float, *, within: float = 300.0) -> None:
        """Return as soon as nothing has moved for `seconds`."""
        async with asyncio.timeout(within):
            while (left := self.moved_at + seconds - time.monotonic()) > 0:  # noqa: ASYNC110 -- time is what is waited for
                await asyncio.sleep(left)

    def moved(self) -> None:
        """Record the time of a change."""
        self.moved_at = time.monotonic()

    def workload(self, metadata: Mapping[str, Any]) -> None:
        """Record a version of a workload."""
        self.moved()
        if (found := self._made_of(metadata)) is None:
            return
        name, version = found
        seen = self._versions.setdefault(name, set())
        seen.add(version)
        if len(seen) >= self._missing.get(name, 1 << 30):
            del self._missing[name]
            if not self._missing:
                self._done_at = self.moved_at
                self._done.set()


class Client:
    """The administrator's client, which is not subject to priority and fairness."""

    def __init__(self, kube: ApiClient, resource: ResourceType, watched: Watched) -> None:
        """Take the connection, the kind of resource, and the watched workloads."""
        self._kube, self._resource = kube, resource
        self.watched = watched

    async def apply(self, manifests: Iterable[Object]) -> None:
        """Server-side apply of many."""
        await _abreast(manifests, lambda manifest: self._kube.apply(self._resource, manifest, manager="benchmark"))

    async def patch(self, names: Iterable[str], patch: Patch) -> None:
        """The same patch of many."""
        content_type, body = patch

        async def one(name: str) -> Object:
            path = self._resource.path(NAMESPACE, name)
            return await self._kube.request("patch", "PATCH", path, body=body, content_type=content_type)

        await _abreast(names, one)


async def _abreast(items: Iterable[Any], send: Callable[[Any], Any]) -> None:
    left = iter(list(items))

    async def one_after_the_other() -> None:
        for item in left:
            await send(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(ABREAST):
            group.create_task(one_after_the_other())


@asynccontextmanager
async def connected(
    kubeconfig: Path, *, resource: ResourceType, workload: ResourceType, made_of: MadeOf
) -> AsyncIterator[Client]:
    """A client that watches both kinds."""
    os.environ["KUBECONFIG"] = str(kubeconfig)
    watched = Watched(made_of)
    async with AsyncExitStack() as stack:
        configuration = await load_configuration()
        kube = await stack.enter_async_context(ApiClient(configuration, timeout=120.0))
        connection = Connection(configuration)
        session = await stack.enter_async_context(connection.session(limit=0, middlewares=(connection.authorize,)))
        watches = [
            asyncio.create_task(await _watch(session, kube, kind, seen))
            for kind, seen in ((workload, watched.workload), (resource, lambda _: watched.moved()))
        ]
        try:
            yield Client(kube, resource, watched)
        finally:
            for watch in watches:
                watch.cancel()
            ended = await asyncio.gather(*watches, return_exceptions=True)
            if broken := [end for end in ended if not isinstance(end, asyncio.CancelledError)]:
                raise BenchmarkError(f"a watch ended: {broken!r}")


async def _watch(
    session: aiohttp.ClientSession, kube: ApiClient, resource: ResourceType, seen: Callable[[Mapping[str, Any]], None]
) -> Coroutine[Any, Any, None]:
    """Return what follows a kind from now on."""
    url = kube.configuration.host + resource.path(NAMESPACE)
    async with session.get(url, headers={"Accept": _LIST}) as response:
        response.raise_for_status()
        version = (await response.json())["metadata"]["resourceVersion"]

    async def follow() -> None:
        nonlocal version
        forever = aiohttp.ClientTimeout(total=None)
        # The API server cuts off who falls behind; nothing is lost, as the next watch goes on from there.
        while True:
            query = {"watch": "true", "resourceVersion": version}
            async with session.get(url, params=query, headers={"Accept": _METADATA}, timeout=forever) as response:
                response.raise_for_status()
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise BenchmarkError(f"watch of {resource.plural}: {event['object']}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "DELETED":
                        seen(event["object"]["metadata"])

    return follow()
