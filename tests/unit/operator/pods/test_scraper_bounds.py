"""However many pods there are, few are asked at a time, none of them in step, and the queue waits for none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cetacean_operator.pods.scraper import PodScraper, Scrape, Target

PODS = 200
INTERVAL = 30.0


class Crowd(PodScraper):
    """A scraper whose pods answer when a test lets them."""

    def __init__(self, concurrency: int, on_change: Callable[[tuple[str, str]], None]) -> None:
        super().__init__(concurrency=concurrency, timeout=3.0, max_bytes=1, on_change=on_change)
        self.asked = self.now = self.most = 0
        self.hang = False
        self.go = asyncio.Semaphore(0)

    async def _scrape(self, target: Target) -> Scrape:
        self.asked, self.now = self.asked + 1, self.now + 1
        self.most = max(self.most, self.now)
        await self.go.acquire()
        self.now -= 1
        if self.hang:
            return Scrape(error="no answer", hung=True)
        return Scrape(identity={"weights": {"sha256": target.uid}})


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the next question to each pod is to be asked, instead of the question."""
    found: list[float] = []

    def later(_self: Any, delay: float, *_: Any) -> asyncio.TimerHandle:
        found.append(delay)
        return asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 3600.0, lambda: None)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", later)
    return found


def targets() -> list[Target]:
    return [Target(f"u{number}", ("sea", "whales"), "127.0.0.1", 1, ready=True) for number in range(PODS)]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_few_at_a_time_and_all_in_the_end(delays: list[float]) -> None:
    changed: list[tuple[str, str]] = []
    crowd = Crowd(8, changed.append)
    crowd.sync(("sea", "whales"), targets(), INTERVAL)
    await settle()
    assert (crowd.asked, crowd.now) == (8, 8), "sync returns at once, the rest waits for a slot"
    for _ in range(PODS):
        crowd.go.release()
        await settle()
    assert (crowd.asked, crowd.most, len(changed)) == (PODS, 8, PODS)
    assert all(0.8 * INTERVAL <= delay <= 1.2 * INTERVAL for delay in delays)
    assert len(delays) == PODS
    assert max(delays) - min(delays) > 0.2 * INTERVAL, "not in step"
    crowd.clear()


async def test_pods_that_have_hung_leave_slots_to_others(delays: list[float]) -> None:
    crowd = Crowd(8, lambda _: None)
    crowd.sync(("sea", "hanging"), targets()[:20], INTERVAL)
    await settle()
    crowd.hang = True
    for _ in range(20):
        crowd.go.release()
        await settle()
    assert (crowd.asked, crowd.now) == (20, 0)
    for watched in crowd._pods.values():
        crowd._start(watched)  # as their timers would
    await settle()
    assert crowd.now == 2, "a quarter of them"
    crowd.sync(("sea", "healthy"), [replace(target, uid=f"h{target.uid}") for target in targets()[:20]], INTERVAL)
    await settle()
    assert crowd.now == 8, "the rest is free for others"
    crowd.clear()
    await settle()
