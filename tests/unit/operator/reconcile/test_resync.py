"""Every resource is queued at intervals with jitter, also if discovery fails."""

from __future__ import annotations

import asyncio

import pytest
from support.operator_world import manifest
from support.virtual_time import VirtualClock, settle

from cetacean_operator.api.kinds import SERVICE_MONITORS, ResourceType
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.kube.client import ApiError
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.resync import Resync


class World:
    def __init__(self) -> None:
        self.clock, self.store = VirtualClock(), Store(owner_of)
        self.queue: WorkQueue[Key] = WorkQueue(self.clock)
        self.served: list[bool | ApiError] = []
        self.monitors: list[bool] = []
        self.version = (1, 35)
        self.versions: list[tuple[int, int] | None] = []
        self.slept: list[float] = []
        self.resync = Resync(
            api=self,
            store=self.store,
            queue=self.queue,
            on_served=self.on_served,
            on_version=self.versions.append,
            sleep=self.sleep,
        )

    async def serves(self, resource: ResourceType) -> bool:
        if resource is not SERVICE_MONITORS:
            return False
        answer = self.served.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def server_version(self) -> tuple[int, int] | None:
        return self.version

    def on_served(self, resource: ResourceType, served: bool) -> None:
        if resource is SERVICE_MONITORS:
            self.monitors.append(served)

    async def sleep(self, seconds: float) -> None:
        if not self.served:
            await asyncio.Event().wait()
        self.slept.append(seconds)


@pytest.fixture
def world() -> World:
    return World()


async def test_every_resource_is_queued_within_a_tenth_of_the_interval(world: World) -> None:
    model = manifest()
    model["metadata"] |= {"uid": "m", "resourceVersion": "1"}
    world.store.put({**model, "kind": "CetaceanModel"})
    world.served = [True]
    await world.resync.once(spread=60.0)
    world.clock.advance(60.0)
    assert await world.queue.take() == ("sea", "whales")
    assert world.monitors == [True]


async def test_a_failed_discovery_does_not_end_the_resync(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.served = [ApiError("discover", "/apis", 503, "So", ""), False, True]
    task = asyncio.create_task(world.resync.run(600.0))
    await settle()
    assert not task.done()
    task.cancel()
    assert world.monitors == [False, True]
    assert "ResyncFailed" in {record.__dict__["reason"] for record in caplog.records}


async def test_intervals_have_jitter(world: World) -> None:
    world.served = [False] * 200
    task = asyncio.create_task(world.resync.run(600.0))
    while world.served:
        await settle()
    task.cancel()
    assert all(480.0 <= interval <= 720.0 for interval in world.slept)
    assert max(world.slept) - min(world.slept) > 100.0


async def test_an_upgrade_of_the_cluster_is_noticed(world: World) -> None:
    world.served = [True, True]
    await world.resync.once(spread=0)
    world.version = (1, 36)
    await world.resync.once(spread=0)
    assert world.versions == [(1, 35), (1, 36)]
