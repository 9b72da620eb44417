"""The kopf handler, called as kopf calls it, and the settings with which kopf writes nothing to the cluster."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import kopf
import pytest
from kubernetes.aio.client import Configuration

from cetacean_operator.handlers.cetaceanmodel import cetaceanmodel_event
from cetacean_operator.handlers.context import Context
from cetacean_operator.handlers.settings import kopf_settings
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.runtime import Operator
from cetacean_operator.settings import Settings


@pytest.fixture
async def operator() -> Operator:
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as kube:
        return Operator(Settings(leader_election=False), kube, Metrics())


def event(kind: str | None, version: int) -> dict[str, Any]:
    meta = {"namespace": "sea", "name": "whales", "uid": "m", "resourceVersion": str(version), "generation": 1}
    return {"type": kind, "object": {"metadata": meta}}


async def handle(operator: Operator, event: dict[str, Any]) -> None:
    memo = Context(operator.kube, operator.cache, operator.middleware)
    handler: Any = cetaceanmodel_event  # kopf passes many more keywords
    await handler(event=event, memo=memo)


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_an_event_stores_the_resource_and_queues_it(operator: Operator, kind: str | None) -> None:
    await handle(operator, event(kind, 5))
    async with asyncio.timeout(1):
        assert await operator.queue.take() == ("sea", "whales")
    assert operator.store.get("CetaceanModel", "sea", "whales") is not None


@pytest.mark.parametrize("seen", [False, True])
async def test_older_versions_of_a_deleted_resource_are_ignored(operator: Operator, *, seen: bool) -> None:
    """Also if kopf has listed the object, but has not called the handler for it yet."""
    if seen:
        await handle(operator, event("ADDED", 5))
    await handle(operator, event("DELETED", 9))
    await handle(operator, event(None, 8))
    assert operator.store.keys("CetaceanModel") == []


async def test_an_unreadable_object_is_logged_and_not_stored(
    operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    for meta in ({}, {"resourceVersion": "x"}, {"resourceVersion": "1"}):
        await handle(operator, {"type": "ADDED", "object": {"metadata": meta}})
        await handle(operator, {"type": "DELETED", "object": {"metadata": meta}})
    assert {record.__dict__["reason"] for record in caplog.records} == {"UnreadableObject"}
    assert len(operator.store) == 0


async def test_each_resource_shares_the_memo_of_the_process(operator: Operator) -> None:
    memo = Context(operator.kube, operator.cache, operator.middleware)
    assert copy.copy(memo) is memo, "kopf copies it for each resource"


def test_kopf_writes_nothing() -> None:
    settings = kopf_settings(Settings())
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    storage, body = settings.persistence.diffbase_storage, kopf.Body({"spec": {"a": 1}})
    assert (storage.build(body=body), storage.fetch(body=body)) == ({}, None), "kopf stores no copy for its comparison"


@pytest.mark.parametrize("limit", [2.0, 5.0, 300.0])
def test_a_quiet_watch_counts_as_alive_within_the_age_limit(limit: float) -> None:
    settings = Settings(watch_age_limit=limit)
    watching = kopf_settings(settings).watching
    assert watching.server_timeout == settings.watch_server_timeout
    assert 1 <= settings.watch_server_timeout < limit
    assert min(60, settings.watch_server_timeout) < settings.watch_silence < limit, (
        "bookmarks come every minute at the latest, or the watch ends"
    )
    assert watching.inactivity_timeout
    assert watching.inactivity_timeout > 1e6, "kopf's own bound ends the task that watches"
