"""The probes over HTTP, and the faults that they report."""

from __future__ import annotations

import aiohttp
import pytest
from kubernetes.aio.client import Configuration
from support.virtual_time import VirtualClock

from cetacean_operator import probes
from cetacean_operator.api.kinds import MODELS, PODS
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.kube.watch_liveness import WatchLiveness
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.runtime import Operator
from cetacean_operator.settings import Settings


async def test_a_probe_returns_503_with_the_text_of_the_fault() -> None:
    faults: dict[str, str | None] = {"health": None, "ready": "waiting for the first list"}
    runner, port = await probes.start("127.0.0.1", 0, healthz=lambda: faults["health"], readyz=lambda: faults["ready"])
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "waiting for the first list")
        faults["ready"] = None
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert answer.status == 200
        async with session.get(f"http://127.0.0.1:{port}/other") as answer:
            assert answer.status == 404
    await runner.cleanup()


async def operator_for(*namespaces: str) -> Operator:
    settings = Settings(leader_election=False, queue_age_limit=60.0, watch_age_limit=60.0, namespaces=namespaces)
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as kube:
        return Operator(settings, kube, Metrics())


@pytest.fixture
async def operator() -> Operator:
    return await operator_for()


async def test_the_operator_is_ready_once_every_kind_has_been_listed(operator: Operator) -> None:
    assert operator.unhealthy() is None
    assert operator.unready() == "waiting for the first list of pods and children"
    operator.watching.set()
    assert operator.unready() == "waiting for the first list of CetaceanModels"
    operator.models_listed.replace(MODELS, None, set(), "7")
    assert operator.unready() is None


async def test_a_forbidden_namespace_does_not_keep_the_operator_unready() -> None:
    operator = await operator_for("sea", "gone")
    operator.watching.set()
    for namespace in ("sea", "gone"):
        operator.liveness.expect(MODELS, namespace)
    operator.models_listed.replace(MODELS, "sea", set(), "7")
    assert operator.unready() == "waiting for the first list of CetaceanModels"
    gone = operator.liveness.find(MODELS.path("gone"))
    assert gone is not None
    gone.rejected(403, "403 Forbidden")
    assert operator.unready() is None


async def test_a_queue_without_workers_is_unhealthy(operator: Operator) -> None:
    clock = VirtualClock()
    operator.queue = WorkQueue(clock)
    operator.queue.add(("sea", "whales"))
    clock.advance(61)
    assert operator.unhealthy() == "the queue is stuck: a resource has waited for 61 s"


async def test_a_silent_watch_makes_the_operator_unhealthy_and_unready(operator: Operator) -> None:
    clock = VirtualClock()
    operator.liveness = WatchLiveness(Metrics(), clock.time)
    operator.liveness.expect(PODS, None)
    clock.advance(61)
    assert operator.unhealthy() == "the watch of pods has been silent for 61 s"
    operator.watching.set()
    operator.models_listed.replace(MODELS, None, set(), "7")
    assert operator.unready() == operator.unhealthy()
