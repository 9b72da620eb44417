"""The work queue, on a virtual clock."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_time import VirtualClock, settle

from cetacean_operator.reconcile.queue import WorkQueue

K = TypeVar("K", str, int)


class RecordingObserver:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waits: list[float] = []

    def added(self) -> None:
        self.counts["added"] += 1

    def retried(self) -> None:
        self.counts["retried"] += 1

    def taken(self, waited: float) -> None:
        self.waits.append(waited)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def queue(clock: VirtualClock) -> WorkQueue[str]:
    return WorkQueue(clock, backoff_base=1.0, backoff_max=60.0, rng=random.Random(1))


async def drain(queue: WorkQueue[K]) -> list[K]:
    taken = []
    while len(queue):
        key = await queue.take()
        taken.append(key)
        queue.done(key)
    return taken


async def test_keys_are_taken_in_the_order_in_which_they_became_due(queue: WorkQueue[str]) -> None:
    for key in "bca":
        queue.add(key)
    assert await drain(queue) == ["b", "c", "a"]


async def test_urgent_keys_go_first(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    assert not queue.has_urgent_backlog
    queue.add("c", urgent=True)
    queue.add("b", urgent=True)
    queue.add("b")
    assert queue.has_urgent_backlog
    assert await drain(queue) == ["c", "b", "a"], "each key once; b has become urgent after c"
    queue.add("c")
    assert not queue.has_urgent_backlog, "a key is urgent for one turn only"
    await drain(queue)


async def test_a_key_that_becomes_urgent_while_it_is_processed_goes_first_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.take() == "a"
    queue.add("b")
    queue.add("a", urgent=True)
    queue.done("a")
    assert await drain(queue) == ["a", "b"]


async def test_every_16th_turn_is_for_a_key_that_is_not_urgent(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock)
    for key in range(100):
        queue.add(key, urgent=key > 1)
    taken = await drain(queue)
    assert (taken.index(0), taken.index(1)) == (15, 31)
    assert [key for key in taken if key > 1] == list(range(2, 100))


async def urgent_burst(queue: WorkQueue[int]) -> None:
    """Add twenty urgent keys and take them."""
    for key in range(20):
        queue.add(key, urgent=True)
    await drain(queue)


async def test_other_keys_wait_during_a_burst_of_urgent_ones(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock)
    await urgent_burst(queue)
    assert queue.has_urgent_backlog
    queue.add(100)
    queue.add(101)
    first, second = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
    await settle()
    assert not first.done(), "further urgent keys may come within a moment"
    queue.add(20, urgent=True)
    await settle()
    assert first.result() == 20
    await clock.pass_(1.5)
    assert (second.result(), queue.has_urgent_backlog) == (100, False), "the burst is over"
    assert await queue.take() == 101


async def test_a_waiting_worker_takes_a_held_back_key_that_becomes_urgent(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock)
    await urgent_burst(queue)
    taking = asyncio.create_task(queue.take())
    await settle()
    queue.add(100)
    await settle()
    assert not taking.done(), "the worker wakes up and waits again"
    queue.add(100, urgent=True)
    await settle()
    assert taking.result() == 100


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.05, 0.25, 1.5])), max_size=40))
def test_idle_workers_leave_no_key_in_the_queue(steps: list[tuple[int, bool, float]]) -> None:
    """While workers wait, each added key is taken within seconds, whatever was added before it."""

    async def run() -> None:
        clock = VirtualClock()
        queue: WorkQueue[int] = WorkQueue(clock, other_slots=2)

        async def work() -> None:
            while True:
                queue.done(await queue.take())

        workers = [asyncio.create_task(work()) for _ in range(3)]
        for key in range(100, 120):
            queue.add(key, urgent=True)
        await settle()
        for key, urgent, pause in steps:
            queue.add(key, urgent=urgent)
            await settle()
            await clock.pass_(pause)
        for _ in range(4):  # in steps: a timer may set the next one
            await clock.pass_(5.0)
            await settle()
        due = len(queue)
        for worker in workers:
            worker.cancel()
        assert due == 0

    asyncio.run(run())


async def test_other_keys_wait_ten_seconds_at_most_for_a_burst(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock)
    queue.add(0, urgent=True)
    await queue.take()
    queue.add(100)
    taking = asyncio.create_task(queue.take())
    begun = clock.now
    while not taking.done():
        for _ in range(20):
            queue.add(0, urgent=True)  # it is being processed: no worker can take it
        await clock.pass_(0.25)
        assert queue.has_urgent_backlog
    assert clock.now - begun == pytest.approx(10.0, abs=0.5)
    assert taking.result() == 100


async def waiting(queue: WorkQueue[int], workers: int) -> list[asyncio.Task[int]]:
    """Return workers that take a key each, and keep it."""
    tasks = [asyncio.create_task(queue.take()) for _ in range(workers)]
    await settle()
    return tasks


async def test_only_some_keys_that_are_not_urgent_are_processed_at_a_time(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock, other_slots=2)
    for key in range(5):
        queue.add(key)
    workers = await waiting(queue, 4)
    assert [worker.done() for worker in workers] == [True, True, False, False]
    queue.done(0)
    await settle()
    assert [worker.done() for worker in workers] == [True, True, True, False], "the slot goes to a worker that waits"
    assert workers[2].result() == 2
    workers[3].cancel()
    await asyncio.gather(workers[3], return_exceptions=True)


async def test_a_burst_leaves_few_slots_to_keys_that_waited_for_long_and_its_end_all(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock, other_slots=12)
    for key in range(20):
        queue.add(key)
    for key in range(100, 120):
        queue.add(key, urgent=True)
    assert all(worker.done() for worker in await waiting(queue, 18))
    workers = await waiting(queue, 22)

    async def burst(seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            for _ in range(20):
                queue.add(100, urgent=True)  # it is being processed: no worker can take it
            await clock.pass_(0.25)

    await burst(11.0)
    taken = [worker.result() for worker in workers if worker.done()]
    assert len([key for key in taken if key < 100]) <= 2
    await clock.pass_(5.0)
    await settle()
    assert len([worker for worker in workers if worker.done()]) == len(taken) + 12 - 2
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_urgent_keys_need_no_slot_of_the_others(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock, other_slots=1)
    queue.add(0)
    await queue.take()
    for key in range(1, 41):
        queue.add(key, urgent=key > 1)
    workers = await waiting(queue, 39)
    assert {worker.result() for worker in workers} == set(range(2, 41)), "although the other key's turn has come"
    last = asyncio.create_task(queue.take())
    await settle()
    assert not last.done()
    queue.done(0)
    await clock.pass_(5.0)
    assert await last == 1


async def test_requests_for_a_key_that_waits_for_a_slot_count_as_one(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock, other_slots=1)
    queue.add(0)
    await queue.take()
    for _ in range(10):
        queue.add(1)
    queue.done(0)
    assert await drain(queue) == [1]


async def test_a_few_urgent_keys_hold_no_other_back(clock: VirtualClock) -> None:
    queue: WorkQueue[int] = WorkQueue(clock)
    for key in range(5):
        queue.add(key, urgent=True)
    await drain(queue)
    queue.add(100)
    assert not queue.has_urgent_backlog
    assert await queue.take() == 100


async def test_a_key_that_is_added_several_times_is_taken_once(queue: WorkQueue[str]) -> None:
    for _ in range(5):
        queue.add("a")
    assert await drain(queue) == ["a"]


async def test_a_key_added_while_it_is_processed_is_taken_once_more_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.take() == "a"
    queue.add("a")
    queue.add("a")
    second = asyncio.create_task(queue.take())
    await settle()
    assert not second.done()
    queue.done("a")
    assert await second == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_a_delayed_key_is_taken_after_its_delay(queue: WorkQueue[str], clock: VirtualClock) -> None:
    queue.add_after("a", 10)
    clock.advance(9.9)
    assert len(queue) == 0
    clock.advance(0.1)
    assert await drain(queue) == ["a"]


async def test_the_shortest_of_several_delays_counts(queue: WorkQueue[str], clock: VirtualClock) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    clock.advance(5)
    assert await drain(queue) == ["a"]
    clock.advance(100)
    assert len(queue) == 0, "one turn serves all requests for the key"


async def test_a_delay_of_zero_adds_the_key_at_once(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0)
    assert await drain(queue) == ["a"]


async def test_the_delay_of_a_retry_grows_with_each_failure_up_to_a_bound(
    queue: WorkQueue[str], clock: VirtualClock
) -> None:
    delays = []
    for _ in range(12):
        delay = queue.retry("a")
        delays.append(delay)
        clock.advance(delay)
        assert await drain(queue) == ["a"]
    for failures, delay in enumerate(delays):
        ceiling = min(60.0, 2.0**failures)
        assert ceiling / 2 <= delay <= ceiling
    queue.succeeded("a")
    assert queue.retry("a") <= 1.0


async def test_the_delay_does_not_overflow_after_many_failures(queue: WorkQueue[str]) -> None:
    for _ in range(2000):
        assert queue.retry("a") <= 60.0


async def test_the_failures_of_one_key_delay_no_other(queue: WorkQueue[str]) -> None:
    queue.retry("a")
    queue.add("b")
    assert await drain(queue) == ["b"]


async def test_the_oldest_age_counts_waiting_and_processed_keys(queue: WorkQueue[str], clock: VirtualClock) -> None:
    assert queue.oldest() == 0.0
    queue.add("a")
    clock.advance(5)
    queue.add("b")
    clock.advance(1)
    assert queue.oldest() == 6.0
    await queue.take()
    clock.advance(2)
    assert queue.oldest() == 3.0
    queue.done("a")


async def test_a_worker_that_is_cancelled_loses_no_key(queue: WorkQueue[str]) -> None:
    first, second = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
    await settle()
    queue.add("a")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "a"


async def test_the_observer_is_called_for_adds_retries_and_waits(clock: VirtualClock) -> None:
    observer = RecordingObserver()
    queue: WorkQueue[str] = WorkQueue(clock, observer=observer)
    queue.add("a")
    clock.advance(3)
    await drain(queue)
    queue.retry("a")
    assert observer.counts == {"added": 1, "retried": 1}
    assert observer.waits == [3.0]


STEPS = ("add", "urgent", "later", "retry", "take", "done", "time")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(STEPS))), st.integers(1, 3))
def test_no_request_is_lost_and_no_key_is_processed_twice_at_a_time(
    steps: list[tuple[str, str]], other_slots: int
) -> None:
    async def run() -> None:
        clock = VirtualClock()
        queue: WorkQueue[str] = WorkQueue(clock, backoff_base=1.0, other_slots=other_slots)
        wanted: set[str] = set()
        processing: set[str] = set()
        for key, step in steps:
            if step in ("add", "urgent"):
                queue.add(key, urgent=step == "urgent")
                wanted.add(key)
            elif step == "later":
                queue.add_after(key, 2.0)
                wanted.add(key)
            elif step == "retry":
                queue.retry(key)
                wanted.add(key)
            elif step == "time":
                clock.advance(1.0)
            elif step == "take" and len(queue) > len(processing):
                task = asyncio.create_task(queue.take())
                await settle()
                if task.done():
                    taken = task.result()
                    assert taken not in processing
                    processing.add(taken)
                    wanted.discard(taken)
                else:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            elif step == "done" and key in processing:
                processing.discard(key)
                queue.done(key)
        for key in processing:
            queue.done(key)
        clock.advance(1000.0)
        assert set(await drain(queue)) >= wanted

    asyncio.run(run())
