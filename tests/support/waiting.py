"""Waits for a condition that a thread or another process makes true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, within: float = 10) -> None:
    """Run the event loop until the condition is true; fails after `within` seconds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 -- a thread's progress sets no event
            await asyncio.sleep(0)


def wait_until(condition: Callable[[], bool], *, within: float = 30) -> None:
    """Block until the condition is true; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.005)
