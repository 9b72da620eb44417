"""The metrics page over HTTP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cetacean_operator import metrics_server
from cetacean_operator.metrics.collectors import Metrics


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_the_registry_is_served_in_the_format_that_the_client_accepts(accept: str) -> None:
    metrics = Metrics()
    metrics.leader.set(1.0)
    runner, port = await metrics_server.start("127.0.0.1", 0, metrics.registry)
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/metrics"
        answers = await asyncio.gather(*(session.get(url, headers={"Accept": accept}) for _ in range(5)))
        for answer in answers:
            assert answer.status == 200
            assert answer.content_type == (accept.partition(";")[0] or "text/plain")
            text = await answer.text()
            assert "cetacean_operator_leader 1.0" in text
        assert accept or list(text_string_to_metric_families(text))
        async with session.get(f"http://127.0.0.1:{port}/other") as other:
            assert other.status == 404
    await runner.cleanup()


@pytest.mark.parametrize("version", ["abc", "1.x.y", "9" * 5000, "²", "9.0.0"])
@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
async def test_an_unknown_version_is_answered_in_plain_text(kind: str, version: str) -> None:
    runner, port = await metrics_server.start("127.0.0.1", 0, Metrics().registry)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": f"{kind}; version={version}"}) as answer,
    ):
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    await runner.cleanup()
