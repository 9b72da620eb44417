"""Clients that disconnect, and too many uploads at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.types import ASGIApp
from support.inference_world import FakePipeline, client_of
from support.pictures import archive, picture
from support.waiting import until

from cetacean_inference.http.app import create_app
from cetacean_inference.serving.service import Service

DISCONNECT = {"type": "http.disconnect"}


class Connection:
    """One request as the server passes it to the application; a test sends the body and the disconnect."""

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

    def send_body(self, *, part: slice = slice(None), more: bool = False) -> None:
        self.messages.put_nowait({"type": "http.request", "body": self.body[part], "more_body": more})

    def disconnect(self) -> None:
        self.messages.put_nowait(DISCONNECT)


def single() -> Connection:
    return Connection("/v1/predict-single", "file", "a.png", "image/png", picture())


async def begin(service: Service, connection: Connection) -> asyncio.Task[None]:
    return connection.begin(create_app(service))


async def metrics(service: Service) -> list[str]:
    async with client_of(service) as client:
        return (await client.get("/metrics")).text.splitlines()


async def test_a_queued_picture_is_not_computed_after_its_client_disconnects(
    service_of: Any, pipeline: FakePipeline
) -> None:
    service = service_of(batching={"max_size": 1})
    pipeline.hold()
    first, second = single(), single()
    tasks = [await begin(service, first)]
    first.send_body()
    await until(lambda: pipeline.num_in_progress == 1)
    tasks.append(await begin(service, second))
    second.send_body()
    await until(lambda: service.predictor.batcher.num_queued == 1)
    second.disconnect()
    await tasks[1]
    pipeline.release()
    await tasks[0]
    assert (first.statuses, second.statuses) == ([200], [])
    found = await metrics(service)
    assert "predictions_total 1.0" in found
    assert "cetacean_inference_queue_depth 0.0" in found
    assert "cetacean_inference_drift_samples 1.0" in found
    assert any(line.startswith("cetacean_inference_request_duration_seconds_count") and "499" in line for line in found)
    assert service.close(timeout_seconds=10)
    assert pipeline.batches == [1]


async def test_an_archive_is_not_computed_after_its_client_disconnects(service_of: Any, pipeline: FakePipeline) -> None:
    service = service_of(batching={"max_size": 1})
    pipeline.hold()
    data = archive([(f"{number}.png", picture()) for number in range(20)])
    connection = Connection("/v1/predict-batch", "archive", "a.zip", "application/zip", data)
    task = await begin(service, connection)
    connection.send_body()
    await until(lambda: pipeline.num_in_progress == 1)
    connection.disconnect()
    await task
    assert "cetacean_inference_queue_depth 0.0" in await metrics(service)
    pipeline.release()
    assert service.close(timeout_seconds=10)
    assert pipeline.batches == [1], "only the batch in progress"


async def test_a_disconnect_during_the_upload_counts_as_499(service_of: Any, pipeline: FakePipeline) -> None:
    service, connection = service_of(), single()
    task = await begin(service, connection)
    connection.send_body(part=slice(0, 100), more=True)
    connection.disconnect()
    await task
    found = await metrics(service)
    assert any("request_duration_seconds_count" in line and 'status="499"' in line for line in found)
    assert not any('status="400"' in line for line in found)
    assert "errors_total 0.0" in found
    assert not pipeline.batches


async def test_a_disconnect_after_the_answer_changes_nothing(service_of: Any) -> None:
    service, connection = service_of(), single()
    task = await begin(service, connection)
    connection.send_body()
    await until(lambda: bool(connection.statuses))
    connection.disconnect()
    await task
    assert connection.statuses == [200]
    assert any('status="200"' in line for line in await metrics(service))


@pytest.mark.parametrize("announced", [True, False])
async def test_the_bytes_of_all_uploads_together_are_bounded(service_of: Any, announced: bool) -> None:
    app = create_app(service_of(http={"max_upload_bytes": 1, "retry_after_seconds": 7}))
    connection = single()
    task = connection.begin(app)
    connection.send_body(part=slice(0, 10), more=True)
    await until(connection.messages.empty)

    async def sent() -> Any:
        yield connection.body

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        kind = Headers(scope=connection.scope)["content-type"]
        content = connection.body if announced else sent()
        rejected = await client.post("/v1/predict-single", content=content, headers={"Content-Type": kind})
        held = (await client.get("/metrics")).text.splitlines()
        connection.send_body(part=slice(10, None))
        await task
        assert connection.statuses == [200], "a single upload is always admitted"
        answer = await client.post("/v1/predict-single", content=connection.body, headers={"Content-Type": kind})
        freed = (await client.get("/metrics")).text.splitlines()
    assert (rejected.status_code, rejected.headers["Retry-After"]) == (429, "7")
    assert rejected.json()["detail"].endswith("expected at most 1 with yours: try again later")
    assert f"cetacean_inference_upload_bytes {float(len(connection.body))}" in held
    assert answer.status_code == 200
    assert "cetacean_inference_upload_bytes 0.0" in freed
