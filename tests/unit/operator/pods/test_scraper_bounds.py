"""However many pods there are, few are scraped at a time, none of them in step, and the queue waits for none."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from support.virtual_time import Alarm, VirtualClock, settle

from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.pods.scraper import PodScraper

PODS = 200
INTERVAL = 30.0


class World:
    """A scraper whose pods answer when a test lets them, and whose timers a test advances."""

    def __init__(self, concurrency: int) -> None:
        self.clock = VirtualClock()
        self.asked = self.now = self.most = 0
        self.hang = False
        self.go = asyncio.Semaphore(0)
        self.changed: list[tuple[str, str]] = []
        self.delays: list[float] = []
        self.scraper = PodScraper(
            self.scrape, concurrency=concurrency, on_change=self.changed.append, call_later=self.call_later
        )

    async def scrape(self, target: Target) -> Scrape:
        self.asked, self.now = self.asked + 1, self.now + 1
        self.most = max(self.most, self.now)
        await self.go.acquire()
        self.now -= 1
        if self.hang:
            return Scrape(error="no answer", hung=True)
        return Scrape(identity={"weights": {"sha256": target.uid}})

    def call_later(self, delay: float, *call: object) -> Alarm:
        self.delays.append(delay)
        return self.clock.call_at(self.clock.time() + delay, *call)  # type: ignore[arg-type]

    async def answer(self, count: int) -> None:
        for _ in range(count):
            self.go.release()
            await settle()


def targets() -> list[Target]:
    return [Target(f"u{number}", ("sea", "whales"), "127.0.0.1", 1, ready=True) for number in range(PODS)]


async def test_few_pods_are_scraped_at_a_time_and_all_in_the_end() -> None:
    world = World(8)
    world.scraper.sync(("sea", "whales"), targets(), INTERVAL)
    await settle()
    assert (world.asked, world.now) == (8, 8), "sync returns at once, the rest waits for a slot"
    await world.answer(PODS)
    assert (world.asked, world.most, len(world.changed)) == (PODS, 8, PODS)
    assert all(0.8 * INTERVAL <= delay <= 1.2 * INTERVAL for delay in world.delays)
    assert len(world.delays) == PODS
    assert max(world.delays) - min(world.delays) > 0.2 * INTERVAL, "not in step"
    world.scraper.clear()


async def test_pods_that_have_hung_leave_slots_to_others() -> None:
    world = World(8)
    world.scraper.sync(("sea", "hanging"), targets()[:20], INTERVAL)
    await settle()
    world.hang = True
    await world.answer(20)
    assert (world.asked, world.now) == (20, 0)
    world.clock.advance(INTERVAL)
    await settle()
    assert world.now == 2, "a quarter of the slots"
    world.scraper.sync(
        ("sea", "healthy"), [replace(target, uid=f"h{target.uid}") for target in targets()[:20]], INTERVAL
    )
    await settle()
    assert world.now == 8, "the rest is free for others"
    world.scraper.clear()
    await settle()
