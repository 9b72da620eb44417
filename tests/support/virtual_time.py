"""A clock that a test advances, with timers and sleeps that end in its time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(order=True)
class Alarm:
    """A scheduled call."""

    when: float
    number: int
    call: Callable[[], Any] | None = field(compare=False)

    def cancel(self) -> None:
        self.call = None


class VirtualClock:
    """A monotonic clock in seconds; only `advance` and `pass_` move it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._alarms: list[Alarm] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Alarm:
        alarm = Alarm(when, next(self._numbers), lambda: callback(*args))
        heapq.heappush(self._alarms, alarm)
        return alarm

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        self.call_at(self.now + seconds, wake)
        await woken

    def advance(self, seconds: float) -> None:
        """Move the clock, and call each alarm at its own time."""
        end = self.now + seconds
        while self._alarms and self._alarms[0].when <= end:
            alarm = heapq.heappop(self._alarms)
            self.now = max(self.now, alarm.when)
            if alarm.call is not None:
                alarm.call()
        self.now = end

    async def pass_(self, seconds: float) -> None:
        """Move the clock in small steps, and run tasks after each."""
        end = self.now + seconds
        while self.now < end:
            self.advance(min(0.05, end - self.now))
            await settle()


async def settle() -> None:
    """Run the event loop until every task waits."""
    for _ in range(10):
        await asyncio.sleep(0)
