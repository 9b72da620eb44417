"""A hundred real pods with the largest answers neither stop the event loop nor fill the memory."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from support.many_pods import LARGEST, answering

from cetacean_operator.kube.store import Key
from cetacean_operator.pods.pod_client import PodClient
from cetacean_operator.pods.scrape import Target
from cetacean_operator.pods.scraper import PodScraper

PODS = 100
KEY = ("sea", "whales")
TESTS = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def targets() -> Iterator[list[Target]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", ""))))
        with answering(PODS) as ports:
            yield [Target(f"u{port}", KEY, "127.0.0.1", port, ready=True) for port in ports]


@asynccontextmanager
async def scraped(targets: list[Target]) -> AsyncIterator[PodScraper]:
    """Yield a scraper that has the answers of all pods, and has closed its connections."""
    missing, all_answered = PODS, asyncio.Event()

    def on_change(_: Key) -> None:
        nonlocal missing
        missing -= 1
        if missing == 0:
            all_answered.set()

    async with PodClient(timeout=120.0, max_bytes=LARGEST) as client:
        scraper = PodScraper(client.scrape, concurrency=32, on_change=on_change)
        scraper.sync(KEY, targets, 600.0)
        try:
            await all_answered.wait()
        except BaseException:
            scraper.clear()
            raise
    yield scraper
    scraper.clear()


@contextmanager
def longest_turn() -> Iterator[list[float]]:
    """Yield a list that holds the most processor time of one turn of the event loop.

    Other processes of the machine lengthen pauses, but not this time.
    """
    longest = [0.0]

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest[0] = max(longest[0], time.thread_time() - before)

    task = asyncio.create_task(watch())
    yield longest
    task.cancel()


async def test_the_largest_answers_of_a_hundred_pods_stop_the_event_loop_for_less_than_half_a_second(
    targets: list[Target],
) -> None:
    with longest_turn() as longest:
        async with scraped(targets) as scraper:
            results = [scraper.result(target.uid) for target in targets]
    assert all(one is not None and one.identity is not None and one.drift_stats is not None for one in results)
    assert sum(bool(one and one.metrics) for one in results) == PODS / 2, "the others have too many lines"
    assert longest[0] < 0.5


async def test_the_largest_answers_of_a_hundred_pods_keep_less_than_two_megabytes(targets: list[Target]) -> None:
    async with scraped(targets):
        pass  # what is loaded and cached at the first scrape
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        async with scraped(targets) as scraper:
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0] - before
            assert scraper.result(targets[0].uid)
    finally:
        tracemalloc.stop()
    assert kept < 2 * 1024 * 1024
