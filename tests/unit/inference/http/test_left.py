"""Clients that leave, and uploads that are too many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.types import ASGIApp
from support.inference_world import FakePipeline, archive, client_of, picture

from cetacean_inference.http.app import create_app
from cetacean_inference.service import Service

ENDED = {"type": "http.disconnect"}


class Connection:
    """One request as the server hands it to the application; a test says when the client leaves."""

    def __init__(self, path: str, field: str, name: str, kind: str, data: bytes) -> None:
        request = httpx.Request("POST", f"http://test{path}", files={field: (name, data, kind)})
        self.body = request.read()
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(key.lower().encode(), value.encode()) for key, value in request.headers.items()],
        }
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.statuses: list[int] = []

    def begin(self, app: ASGIApp) -> asyncio.Task[None]:
        async def run() -> None:
            await app(self.scope, self.receive, self.send)

        return asyncio.create_task(run())

    async def receive(self) -> dict[str, Any]:
        return await self.messages.get()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])

    def comes(self, *, part: slice = slice(None), more: bool = False) -> None:
        self.messages.put_nowait({"type": "http.request", "body": self.body[part], "more_body": more})

    def leaves(self) -> None:
        self.messages.put_nowait(ENDED)


def single() -> Connection:
    return Connection("/v1/predict-single", "file", "a.png", "image/png", picture())


async def begin(service: Service, connection: Connection) -> asyncio.Task[None]:
    return connection.begin(create_app(service))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- a thread's progress sets no event
            await asyncio.sleep(0)


async def metrics(service: Service) -> list[str]:
    async with client_of(service) as client:
        return (await client.get("/metrics")).text.splitlines()


async def test_nothing_is_computed_for_a_client_that_has_left(service_of: Any, pipeline: FakePipeline) -> None:
    service = service_of(batching={"max_size": 1})
    pipeline.hold()
    first, second = single(), single()
    tasks = [await begin(service, first)]
    first.comes()
    await until(lambda: pipeline.under_way == 1)
    tasks.append(await begin(service, second))
    second.comes()
    await until(lambda: service._loaded.batcher._queue.qsize() == 1)
    second.leaves()
    await tasks[1]
    pipeline.go_on.set()
    await tasks[0]
    assert (first.statuses, second.statuses) == ([200], [])
    found = await metrics(service)
    assert "predictions_total 1.0" in found
    assert "cetacean_inference_queue_depth 0.0" in found
    assert "cetacean_inference_drift_samples 1.0" in found
    assert any(line.startswith("cetacean_inference_request_duration_seconds_count") and "499" in line for line in found)
    assert service.close(timeout_seconds=10)
    assert pipeline.batches == [1]


async def test_an_archive_goes_with_its_client(service_of: Any, pipeline: FakePipeline) -> None:
    service = service_of(batching={"max_size": 1})
    pipeline.hold()
    data = archive([(f"{number}.png", picture()) for number in range(20)])
    connection = Connection("/v1/predict-batch", "archive", "a.zip", "application/zip", data)
    task = await begin(service, connection)
    connection.comes()
    await until(lambda: pipeline.under_way == 1)
    connection.leaves()
    await task
    assert "cetacean_inference_queue_depth 0.0" in await metrics(service)
    pipeline.go_on.set()
    assert service.close(timeout_seconds=10)
    assert pipeline.batches == [1], "what was under way, and nothing after it"


async def test_a_client_that_leaves_while_it_sends_has_left(service_of: Any, pipeline: FakePipeline) -> None:
    service, connection = service_of(), single()
    task = await begin(service, connection)
    connection.comes(part=slice(0, 100), more=True)
    connection.leaves()
    await task
    found = await metrics(service)
    assert any("request_duration_seconds_count" in line and 'status="499"' in line for line in found)
    assert not any('status="400"' in line for line in found)
    assert "errors_total 0.0" in found
    assert not pipeline.batches


async def test_leaving_after_the_answer_changes_nothing(service_of: Any) -> None:
    service, connection = service_of(), single()
    task = await begin(service, connection)
    connection.comes()
    await until(lambda: bool(connection.statuses))
    connection.leaves()
    await task
    assert connection.statuses == [200]
    assert any('status="200"' in line for line in await metrics(service))


@pytest.mark.parametrize("announced", [True, False])
async def test_uploads_are_bounded_all_together(service_of: Any, announced: bool) -> None:
    app = create_app(service_of(http={"max_upload_bytes": 1, "retry_after_seconds": 7}))
    connection = single()
    task = connection.begin(app)
    connection.comes(part=slice(0, 10), more=True)
    await until(connection.messages.empty)

    async def sent() -> Any:
        yield connection.body

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        kind = Headers(scope=connection.scope)["content-type"]
        content = connection.body if announced else sent()
        refused = await client.post("/v1/predict-single", content=content, headers={"Content-Type": kind})
        held = (await client.get("/metrics")).text.splitlines()
        connection.comes(part=slice(10, None))
        await task
        assert connection.statuses == [200], "one alone is let in, whatever its size"
        answer = await client.post("/v1/predict-single", content=connection.body, headers={"Content-Type": kind})
        freed = (await client.get("/metrics")).text.splitlines()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert refused.json()["detail"].endswith("expected at most 1 with yours: ask again later")
    assert f"cetacean_inference_upload_bytes {float(len(connection.body))}" in held
    assert answer.status_code == 200
    assert "cetacean_inference_upload_bytes 0.0" in freed
