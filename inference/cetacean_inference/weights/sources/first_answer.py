"""The wait for the first answer of an object store, bounded in time and memory.

obstore reads the body of an error whole, and has no bound for it: it ends only with the server, or with its request.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

MOST_BYTES: Final = 64 * 2**20
"""Memory that an answer may take before its body is asked for; an error of a store has a few KiB."""
INTERVAL_SECONDS: Final = 0.02
_STATM: Final = Path("/proc/self/statm")


class NoAnswer(Exception):  # noqa: N818 - the source makes an error of it
    """The answer takes too long or too much memory; the message is the reason."""


def first_answer(request: Callable[[], Awaitable[T]], *, seconds: float) -> T:
    """Return what a request gets, and end the request if it does not get it soon.

    Args:
        request: sends one by obstore, in a process that does nothing else meanwhile.
        seconds: longest wait.

    Raises:
        NoAnswer: it took too long, or too much memory.
    """
    return asyncio.run(_watched(request, seconds))


async def _watched(request: Callable[[], Awaitable[T]], seconds: float) -> T:
    asked, before = asyncio.ensure_future(request()), _resident_bytes()
    end = asyncio.get_running_loop().time() + seconds
    try:
        while not (await asyncio.wait({asked}, timeout=INTERVAL_SECONDS))[0]:
            if _resident_bytes() - before > MOST_BYTES:
                raise NoAnswer(f"expected an answer of at most {MOST_BYTES} bytes, got more")
            if asyncio.get_running_loop().time() > end:
                raise NoAnswer("timed out")
        return await asked
    finally:
        asked.cancel()  # drops the request with its connection


def _resident_bytes() -> int:
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except OSError:  # not Linux: the time alone is bounded
        return 0
