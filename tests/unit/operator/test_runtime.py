"""The operator's parts together: they start in order, and optional kinds are watched while their CRD is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from kubernetes.aio.client import Configuration
from support.approvals import approval_object
from support.fake_api import FakeApi
from support.operator_world import manifest
from support.virtual_time import settle

from cetacean_operator.api.kinds import APPROVALS, CHILDREN, CRD_CHILDREN, PODS, ResourceType
from cetacean_operator.kube.client import ApiClient, ApiError, Page
from cetacean_operator.kube.watch_stream import Body
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.runtime import Operator
from cetacean_operator.settings import Settings


class Api(FakeApi):
    """An API server whose watches stay empty; the namespace `gone` has no RoleBinding for the operator."""

    forbidden: frozenset[ResourceType] = frozenset()

    async def list(
        self, resource: ResourceType, namespace: str | None, *, label_selector: str = ""
    ) -> AsyncIterator[Page]:
        if namespace == "gone" or resource in self.forbidden:
            raise ApiError("list", resource.path(namespace), 403, "Forbidden", "no RoleBinding")
        async for page in super().list(resource, namespace, label_selector=label_selector):
            yield page

    @asynccontextmanager
    async def watch(
        self,
        resource: ResourceType,
        namespace: str | None,
        *,
        version: str,
        label_selector: str = "",
        seconds: int,
        answer_within: float,
    ) -> AsyncIterator[Body]:
        self.calls.append(("watch", f"{resource.kind}/{label_selector}"))
        await asyncio.Event().wait()
        yield cast(Body, None)


@asynccontextmanager
async def informed(operator: Operator) -> AsyncIterator[None]:
    """Keep the cache of pods and children until the block ends."""
    task = asyncio.create_task(operator.inform())
    try:
        async with asyncio.timeout(1):
            await operator.informers.synced()
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def operator_of(api: FakeApi, *namespaces: str) -> Operator:
    return Operator(Settings(leader_election=False, namespaces=namespaces), cast(ApiClient, api), Metrics())


async def test_every_kind_is_listed_once_and_then_watched() -> None:
    api = Api()
    async with informed(operator_of(api)):
        await settle()
    for verb in ("list", "watch"):
        called = [name.partition("/")[0] for made, name in api.calls if made == verb]
        assert sorted(called) == sorted(resource.kind for resource in (PODS, *CHILDREN))


async def test_a_forbidden_namespace_delays_no_other() -> None:
    api = Api()
    labels = {"ecomarineai.org/cetaceanmodel": "whales"}
    owner = {"apiVersion": "ecomarineai.org/v1alpha1", "kind": "CetaceanModel", "name": "whales", "controller": True}
    meta = {"namespace": "sea", "name": "whales", "labels": labels, "ownerReferences": [owner]}
    api.put({"kind": "Service", "metadata": meta})
    operator = operator_of(api, "gone", "sea")
    async with informed(operator):
        assert operator.store.keys("Service") == [("sea", "whales")]


@pytest.mark.parametrize("optional", CRD_CHILDREN, ids=lambda resource: str(resource.kind))
async def test_an_optional_child_is_watched_while_its_crd_is_served(optional: ResourceType) -> None:
    api = Api()
    operator = operator_of(api)
    path = optional.path(None)
    async with informed(operator):
        assert operator.liveness.find(path) is None
        for served in (True, False, True):
            api.served = {optional.plural} if served else set()
            await operator.resync.once(spread=0.0)
            await settle()
            assert operator.observer.served_kinds == ({optional.kind} if served else set())
            assert (operator.liveness.find(path) is not None) is served
    listed = [name for verb, name in api.calls if verb == "list"]
    assert listed.count(f"{optional.kind}/ecomarineai.org/cetaceanmodel") == 2


async def test_the_kinds_that_are_served_at_the_start_are_known_before_anything_is_decided() -> None:
    api = Api()
    api.served |= {resource.plural for resource in CRD_CHILDREN}
    operator = operator_of(api)
    async with informed(operator):
        assert operator.observer.served_kinds == {"ServiceMonitor", "HTTPRoute"}


async def test_approvals_are_read_while_their_crd_is_served_and_rights_allow_it() -> None:
    api = Api()
    operator = operator_of(api, "gone", "sea")
    api.put(approval_object())
    seen = operator.informers.unreadable
    async with informed(operator):
        assert "its CRD is not installed" in str(seen(APPROVALS, "sea"))
        api.served = {APPROVALS.plural}
        await operator.resync.once(spread=0.0)
        await settle()
        assert seen(APPROVALS, "sea") is None
        assert "refuses to list" in str(seen(APPROVALS, "gone"))
        observed = operator.observer.observe(("sea", "whales"), window=1, answers=1)
        assert [given.spec.approver for given in observed.approvals.given] == ["alice"]
        assert observed.children == {}
        assert ("watch", "ModelApproval/") in api.calls, "all of them, whatever their labels"
        api.served = set()
        await operator.resync.once(spread=0.0)
        observed = operator.observer.observe(("sea", "whales"), window=1, answers=1)
        assert "its CRD is not installed" in str(observed.approvals.unreadable)


async def test_an_operator_that_may_not_read_approvals_starts_and_is_healthy() -> None:
    api = Api()
    api.forbidden = frozenset({APPROVALS})
    api.served.add(APPROVALS.plural)
    operator = operator_of(api)
    async with informed(operator):
        await settle()
        assert "refuses to list" in str(operator.informers.unreadable(APPROVALS, "sea"))
        assert "modelapprovals" not in operator.liveness.oldest()[0]


async def test_the_operator_waits_for_the_crd(monkeypatch: pytest.MonkeyPatch) -> None:
    api, waited = Api(), []
    api.served.discard("cetaceanmodels")

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        api.served.add("cetaceanmodels")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert await operator_of(api).discover() == ()
    assert waited == [2.0]


async def test_gaining_the_lease_queues_every_resource() -> None:
    settings = Settings(leader_election=True)
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as kube:
        operator = Operator(settings, kube, Metrics())
    model = manifest()
    operator.store.put({**model, "metadata": {**model["metadata"], "resourceVersion": "1"}})
    operator.on_lease(leading=True)
    assert len(operator.queue) == 1
    assert operator.metrics.registry.get_sample_value("cetacean_operator_leader") == 1.0
    operator.on_lease(leading=False)
    assert operator.metrics.registry.get_sample_value("cetacean_operator_leader") == 0.0
