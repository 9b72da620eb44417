"""With many pods the scraper scrapes few at a time, with jitter, and sync waits for none."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from support.virtual_time import Alarm, VirtualClock, settle

from cetacean_operator.api.observed import Identity
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.pods.scraper import PodScraper

PODS = 200
INTERVAL = 30.0


class World:
    """A scraper on a virtual clock; its pods answer only if a test releases them."""

    def __init__(self, concurrency: int) -> None:
        self.clock = VirtualClock()
        self.requests = self.active = self.most_active = 0
        self.hang = False
        self.released = asyncio.Semaphore(0)
        self.changed: list[tuple[str, str]] = []
        self.delays: list[float] = []
        self.scraper = PodScraper(
            self.scrape, concurrency=concurrency, on_change=self.changed.append, call_later=self.call_later
        )

    async def scrape(self, target: Target) -> Scrape:
        self.requests, self.active = self.requests + 1, self.active + 1
        self.most_active = max(self.most_active, self.active)
        await self.released.acquire()
        self.active -= 1
        if self.hang:
            return Scrape(error="no answer", hung=True)
        return Scrape(identity=Identity(digest=target.uid))

    def call_later(self, delay: float, *call: object) -> Alarm:
        self.delays.append(delay)
        return self.clock.call_at(self.clock.time() + delay, *call)  # type: ignore[arg-type]

    async def answer(self, count: int) -> None:
        for _ in range(count):
            self.released.release()
            await settle()


def targets() -> list[Target]:
    return [Target(f"u{number}", ("sea", "whales"), "127.0.0.1", 1, ready=True) for number in range(PODS)]


async def test_at_most_eight_of_200_pods_are_scraped_at_a_time() -> None:
    world = World(8)
    world.scraper.sync(("sea", "whales"), targets(), INTERVAL)
    await settle()
    assert (world.requests, world.active) == (8, 8), "sync returns at once; the other pods wait for a slot"
    await world.answer(PODS)
    assert (world.requests, world.most_active, len(world.changed)) == (PODS, 8, PODS)
    assert all(0.8 * INTERVAL <= delay <= 1.2 * INTERVAL for delay in world.delays)
    assert len(world.delays) == PODS
    assert max(world.delays) - min(world.delays) > 0.2 * INTERVAL, "the delays have jitter"
    world.scraper.clear()


async def test_pods_that_have_hung_share_a_quarter_of_the_slots() -> None:
    world = World(8)
    world.scraper.sync(("sea", "hanging"), targets()[:20], INTERVAL)
    await settle()
    world.hang = True
    await world.answer(20)
    assert (world.requests, world.active) == (20, 0)
    world.clock.advance(INTERVAL)
    await settle()
    assert world.active == 2, "pods that have hung get a quarter of the slots"
    world.scraper.sync(
        ("sea", "healthy"), [replace(target, uid=f"h{target.uid}") for target in targets()[:20]], INTERVAL
    )
    await settle()
    assert world.active == 8, "the other slots are for other pods"
    world.scraper.clear()
    await settle()
