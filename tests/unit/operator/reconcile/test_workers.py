"""Workers handle every kind of failure, and none ends them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from support.virtual_time import VirtualClock, settle

from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.kube.store import Key
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import Reconciler
from cetacean_operator.reconcile.workers import work

A, B = ("sea", "a"), ("sea", "b")


class Scripted:
    """A reconciler whose passes are a function of the test."""

    def __init__(self, act: Callable[[Key], Awaitable[float | None]]) -> None:
        self.act, self.seen = act, list[Key]()

    async def reconcile(self, key: Key) -> float | None:
        self.seen.append(key)
        return await self.act(key)


@asynccontextmanager
async def working(
    act: Callable[[Key], Awaitable[float | None]],
    *,
    workers: int = 2,
    timeout: float = 5.0,  # noqa: ASYNC109
) -> AsyncIterator[tuple[WorkQueue[Key], VirtualClock, Scripted, Metrics]]:
    clock, metrics, scripted = VirtualClock(), Metrics(), Scripted(act)
    queue: WorkQueue[Key] = WorkQueue(clock, backoff_base=1.0, rng=random.Random(0))
    tasks = [
        asyncio.create_task(work(queue, cast(Reconciler, scripted), metrics, timeout=timeout)) for _ in range(workers)
    ]
    yield queue, clock, scripted, metrics
    assert not any(task.done() for task in tasks), "a worker has ended"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError("apply", "/x", 503, "ServiceUnavailable", ""), "ServiceUnavailable"),
        (ApiError("apply", "/x", 0, "", "refused"), "NoAnswer"),
        (TimeoutError(), "TimeoutError"),
        (KeyError("a fault of ours"), "Unexpected"),
    ],
)
async def test_a_failure_is_counted_and_tried_again(error: Exception, reason: str) -> None:
    outcomes: list[Exception | None] = [error, None]

    async def act(_: Key) -> float | None:
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome
        return None

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        await settle()
        assert scripted.seen == [A]
        clock.advance(1.0)
        await settle()
        assert scripted.seen == [A, A]
        clock.advance(1000)
        await settle()
        assert scripted.seen == [A, A]
        assert metrics.registry.get_sample_value("cetacean_operator_reconcile_errors_total", {"reason": reason}) == 1


async def test_unknown_reasons_share_one_label_value() -> None:
    numbers = itertools.count()

    async def act(_: Key) -> float | None:
        raise ApiError("apply", "/x", 403, f"DeniedBecauseOf{next(numbers)}", "a webhook may give any reason")

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        for _ in range(3):
            await settle()
            clock.advance(1000)
        assert len(scripted.seen) == 3
        assert metrics.registry.get_sample_value("cetacean_operator_reconcile_errors_total", {"reason": "Other"}) == 3


async def test_a_failure_in_a_terminating_namespace_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def act(_: Key) -> float | None:
        raise NamespaceTerminatingError("apply", "/x", 403, "Forbidden", "it is being terminated")

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        await settle()
        clock.advance(1000)
        await settle()
        assert scripted.seen == [A]
        errors = metrics.registry.get_sample_value("cetacean_operator_reconcile_errors_total", {"reason": "Forbidden"})
        assert not errors
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_a_retry_waits_for_the_retry_after_of_the_response() -> None:
    error = ApiError("apply", "/x", 429, "TooManyRequests", "")
    error.retry_after = 5.0

    async def act(_: Key) -> float | None:
        raise error

    async with working(act) as (queue, clock, scripted, _):
        queue.add(A)
        await settle()
        clock.advance(4.9)
        await settle()
        assert scripted.seen == [A], "not before the API server's Retry-After has passed"
        clock.advance(0.1)
        await settle()
        assert scripted.seen == [A, A]


async def test_a_resource_that_hangs_delays_no_other() -> None:
    hang = asyncio.Event()

    async def act(key: Key) -> float | None:
        if key == A:
            await hang.wait()
        return None

    async with working(act) as (queue, _, scripted, _metrics):
        queue.add(A)
        queue.add(B)
        await settle()
        queue.add(B)
        await settle()
        assert scripted.seen == [A, B, B]
        hang.set()
        await settle()


async def test_a_reconcile_that_hangs_is_bounded() -> None:
    ended = asyncio.Event()

    async def act(_: Key) -> float | None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    async with working(act, timeout=0.01) as (queue, _, _scripted, metrics):
        queue.add(A)
        async with asyncio.timeout(5):
            await ended.wait()
        await settle()
        errors = metrics.registry.get_sample_value(
            "cetacean_operator_reconcile_errors_total", {"reason": "TimeoutError"}
        )
        assert errors == 1


async def test_a_resource_is_queued_again_after_the_returned_seconds() -> None:
    async def act(_: Key) -> float | None:
        return 60.0

    async with working(act) as (queue, clock, scripted, _):
        queue.add(A)
        await settle()
        clock.advance(60)
        await settle()
        assert scripted.seen == [A]
        clock.advance(1)
        await settle()
        assert scripted.seen == [A, A]


async def test_a_lost_lease_is_counted_and_not_tried_again() -> None:
    async def act(_: Key) -> float | None:
        raise NotLeadingError("lost")

    async with working(act) as (queue, clock, scripted, metrics):
        queue.add(A)
        await settle()
        clock.advance(1000)
        await settle()
        assert scripted.seen == [A]
        count = metrics.registry.get_sample_value(
            "cetacean_operator_reconcile_duration_seconds_count", {"result": "not_leading"}
        )
        assert count == 1
