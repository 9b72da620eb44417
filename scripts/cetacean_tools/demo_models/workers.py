"""Work spread over the machine's cores, by processes that cannot outlive this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Protocol, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 8


class Mapping(Protocol):
    """What draws pictures: `Workers`, or anything with their `map`."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], /) -> Iterable[Result]:
        """`work(item)` of each item, in their order."""
        ...


class Workers:
    """As many processes as there are cores for us; a context manager, at whose end they end."""

    def __init__(self) -> None:
        # spawn: a forked child of a process with threads (torch's) may hang.
        self._pool = ProcessPoolExecutor(
            min(cores(), MOST), mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], *, chunk: int = 32) -> Iterator[Result]:
        """`work(item)` of each item, in their order.

        Args:
            work: a function of a module.
            items: what it is called with.
            chunk: how many items a process takes at a time.
        """
        return self._pool.map(work, items, chunksize=chunk)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _end_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends the pool
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
