"""Probes over HTTP, and what they ask."""

from __future__ import annotations

import aiohttp
import pytest
from kubernetes.aio.client import Configuration
from support.virtual_time import VirtualClock

from cetacean_operator import probes
from cetacean_operator.handlers.watch_middleware import WatchLiveness
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.kube.resources import PODS
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.runtime import Operator
from cetacean_operator.settings import Settings


async def test_a_fault_is_503_and_says_what() -> None:
    faults: dict[str, str | None] = {"health": None, "ready": "waiting for the first listing"}
    runner, port = await probes.start("127.0.0.1", 0, healthz=lambda: faults["health"], readyz=lambda: faults["ready"])
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "waiting for the first listing")
        faults["ready"] = None
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert answer.status == 200
        async with session.get(f"http://127.0.0.1:{port}/other") as answer:
            assert answer.status == 404
    await runner.cleanup()


@pytest.fixture
async def operator() -> Operator:
    settings = Settings(leader_election=False, queue_age_limit=60.0, watch_age_limit=60.0)
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as kube:
        return Operator(settings, kube, Metrics())


async def test_ready_only_once_all_is_listed_and_watched(operator: Operator) -> None:
    assert operator.unhealthy() is None
    assert operator.unready() == "waiting for the first listing"
    operator.listed = True
    assert operator.unready() == "waiting for the watches"
    operator.watching.set()
    assert operator.unready() is None


async def test_a_queue_that_nobody_serves_is_unhealthy(operator: Operator) -> None:
    clock = VirtualClock()
    operator.queue = WorkQueue(clock)
    operator.queue.add(("sea", "whales"))
    clock.advance(61)
    assert operator.unhealthy() == "the queue is stuck: a resource has waited for 61 s"


async def test_a_watch_that_is_silent_is_unhealthy(operator: Operator) -> None:
    clock = VirtualClock()
    operator.ages = WatchLiveness(Metrics(), clock.time)
    operator.ages.expect(PODS, None)
    clock.advance(61)
    assert operator.unhealthy() == "the watch of pods has been silent for 61 s"
    operator.listed = True
    operator.watching.set()
    assert operator.unready() == operator.unhealthy()


async def test_gaining_the_lease_queues_every_resource(operator: Operator) -> None:
    meta = {"namespace": "sea", "name": "whales", "uid": "m", "resourceVersion": "1"}
    operator.store.put({"kind": "CetaceanModel", "metadata": meta})
    operator._on_lease(True)
    assert len(operator.queue) == 1
    assert operator.metrics.registry.get_sample_value("cetacean_operator_leader") == 1.0
    operator._on_lease(False)
    assert operator.metrics.registry.get_sample_value("cetacean_operator_leader") == 0.0
