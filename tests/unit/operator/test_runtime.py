"""The process's parts together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from kubernetes.aio.client import Configuration
from support.fake_api import FakeApi
from support.operator_world import manifest
from yarl import URL

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import ApiClient, ApiError
from cetacean_operator.kube.resources import MODELS, ResourceType
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.runtime import Operator
from cetacean_operator.settings import Settings


@pytest.fixture
async def operator() -> Operator:
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as kube:
        made = Operator(Settings(leader_election=False), kube, Metrics())
    made.ages.expect(MODELS, None)
    return made


def model(version: int) -> dict[str, Any]:
    return {"metadata": {"namespace": "sea", "name": "whales", "uid": "m", "resourceVersion": str(version)}}


async def watch(operator: Operator, *events: dict[str, Any]) -> None:
    """Let the watch of models carry events and end."""

    async def carry(_: int) -> AsyncIterator[bytes]:
        for event in events:
            yield json.dumps(event).encode() + b"\n"

    async def handler(_: aiohttp.ClientRequest) -> Any:
        return SimpleNamespace(status=200, content=SimpleNamespace(iter_chunked=carry))

    request = cast(aiohttp.ClientRequest, SimpleNamespace(url=URL(f"http://x{MODELS.path()}?watch=true")))
    response = await operator.streams(request, handler)
    async for _ in response.content.iter_chunked(1):
        pass


@pytest.mark.parametrize("seen", [False, True])
async def test_a_deletion_that_is_told_ends_all_older_states(operator: Operator, *, seen: bool) -> None:
    """As where kopf has listed the object, and has not handed it on yet."""
    if seen:
        await watch(operator, {"type": "ADDED", "object": model(5)})
    await watch(operator, {"type": "DELETED", "object": model(9)})
    assert operator.store.put({"kind": MODELS.kind, **model(8)}) is None
    assert operator.store.keys(MODELS.kind) == []


@pytest.mark.parametrize("meta", [{"resourceVersion": "x"}, {"resourceVersion": "1"}])
async def test_a_deletion_that_cannot_be_read_is_told(
    operator: Operator, caplog: pytest.LogCaptureFixture, meta: dict[str, str]
) -> None:
    await watch(operator, {"type": "DELETED", "object": {"metadata": meta}})
    assert "BadObject" in {record.__dict__.get("reason") for record in caplog.records}


class OneRefuses(FakeApi):
    """The namespace `gone` has no RoleBinding for this process."""

    async def list(
        self, resource: ResourceType, namespace: str | None, *, label_selector: str = ""
    ) -> AsyncIterator[Object]:
        if namespace == "gone":
            raise ApiError("list", resource.path(namespace), 403, "Forbidden", "no RoleBinding")
        async for obj in super().list(resource, namespace, label_selector=label_selector):
            yield obj


async def test_the_first_listing_ends_where_one_namespace_refuses() -> None:
    api = OneRefuses()
    api.put(manifest())
    settings = Settings(leader_election=False, namespaces=("gone", "sea"))
    operator = Operator(settings, cast(ApiClient, api), Metrics())
    async with asyncio.timeout(1):
        await operator.list_first()
    assert operator.listed
    assert operator.store.keys(MODELS.kind) == [("sea", "whales")]
