"""POST /v1/predict-single: the contract, line by line."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from PIL import Image
from support.inference_world import DIGEST, FakePipeline, client_of
from support.pictures import picture, turned
from support.waiting import until

from cetacean_inference.decision import Detection
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings


async def send(
    client: httpx.AsyncClient,
    data: bytes,
    *,
    name: str = "whale.png",
    kind: str = "image/png",
    path: str = "/v1/predict-single",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    return await client.post(path, files={"file": (name, data, kind)}, headers=headers)


def detail(answer: httpx.Response) -> str:
    found: str = answer.json()["detail"]
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("path", ["/v1/predict-single", "/predict-single"])
async def test_a_picture_is_answered_with_a_detection(client: httpx.AsyncClient, path: str) -> None:
    answer = await send(client, picture(score=0.8, probability=0.6, size=(50, 20)), path=path)
    assert answer.status_code == 200
    found = answer.json()
    assert list(found) == list(Detection.model_fields)
    assert found["image_ind"] == "whale.png"
    assert found["bbox"] == [0, 0, 50, 20]
    assert (found["class_animal"], found["id_animal"], found["probability"]) == ("id1", "species0", 0.6)
    assert (found["cetacean_score"], found["is_cetacean"], found["rejected"]) == (0.8, True, False)
    assert (found["mask"], found["rejection_reason"], found["model_version"]) == (None, None, "1.2.3")
    assert [one["class_animal"] for one in found["candidates"]] == ["id2", "id3", "id4", "id5"]


async def test_a_rejected_picture_is_answered_with_200(client: httpx.AsyncClient) -> None:
    answer = await send(client, picture(score=0.2))
    assert answer.status_code == 200
    found = answer.json()
    assert (found["rejected"], found["rejection_reason"]) == (True, "not_a_marine_mammal")
    assert (found["class_animal"], found["id_animal"], found["probability"]) == ("", "unknown", 0.0)


async def test_an_answer_of_low_confidence_is_rejected_with_candidates(client: httpx.AsyncClient) -> None:
    found = (await send(client, picture(score=0.8, probability=0.04))).json()
    assert (found["rejected"], found["rejection_reason"], found["class_animal"]) == (True, "low_confidence", "id1")
    assert len(found["candidates"]) == 4


async def test_every_answer_has_the_headers_with_the_lineage(client: httpx.AsyncClient) -> None:
    for data in (picture(), b"words"):
        headers = (await send(client, data)).headers
        assert headers["X-Model-Name"] == "tiny"
        assert headers["X-Model-Version"] == "1.2.3"
        assert headers["X-Weights-SHA256"] == DIGEST
        assert headers["X-Gate-Threshold"] == "0.52"


async def test_a_request_keeps_its_valid_id_or_gets_a_new_one(client: httpx.AsyncClient) -> None:
    assert (await send(client, picture(), headers={"X-Request-ID": "abc-1"})).headers["X-Request-ID"] == "abc-1"
    fresh = {
        (await send(client, picture(), headers=h)).headers["X-Request-ID"] for h in (None, {"X-Request-ID": "a b"})
    }
    assert len(fresh) == 2
    assert all(len(one) == 32 for one in fresh)


@pytest.mark.parametrize("kind", ["text/plain", "application/pdf", "application/octet-stream", "video/mp4"])
async def test_415_if_the_media_type_is_not_a_pictures(client: httpx.AsyncClient, kind: str) -> None:
    answer = await send(client, picture(), kind=kind)
    assert answer.status_code == 415
    assert kind in detail(answer)


@pytest.mark.parametrize("data", [b"words that are called .jpg", b"\0" * 500, b"GIF89a"])
async def test_415_if_the_bytes_cannot_be_decoded(client: httpx.AsyncClient, data: bytes) -> None:
    answer = await send(client, data, name="a.jpg", kind="image/jpeg")
    assert answer.status_code == 415
    assert "expected a" in detail(answer)


async def test_400_if_the_file_is_empty(client: httpx.AsyncClient) -> None:
    answer = await send(client, b"")
    assert answer.status_code == 400
    assert "empty" in detail(answer)


async def test_422_if_the_field_is_missing(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.post("/v1/predict-single", files={"picture": ("a.png", picture(), "image/png")}),
        await client.post("/v1/predict-single", data={"file": "words"}),
        await client.post("/v1/predict-single"),
    ):
        assert answer.status_code == 422
        assert detail(answer).startswith("file: expected a file, got ")


async def test_415_if_the_file_is_truncated(client: httpx.AsyncClient) -> None:
    whole = picture(kind="JPEG", size=(300, 200))
    answer = await send(client, whole[: len(whole) // 2], name="a.jpg", kind="image/jpeg")
    assert answer.status_code == 415
    assert "truncated" in detail(answer)


async def test_413_if_the_picture_has_too_many_pixels(service_of: Any) -> None:
    async with client_of(service_of(images={"max_pixels": 100})) as client:
        answer = await send(client, picture(size=(20, 20)))
    assert answer.status_code == 413
    assert "at most 100 pixels" in detail(answer)


async def test_4xx_if_the_multipart_body_is_broken(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/predict-single", content=b"--x\r\nbroken", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert 400 <= answer.status_code < 500


async def test_the_files_name_is_made_safe_as_a_path(client: httpx.AsyncClient) -> None:
    assert (await send(client, picture(), name="../../etc/a.png")).json()["image_ind"] == "etc/a.png"


async def test_413_by_the_announced_length(service_of: Any, pipeline: FakePipeline) -> None:
    async with client_of(service_of(images={"max_bytes": 1000})) as client:
        answer = await send(client, b"x" * 100_000)
    assert answer.status_code == 413
    assert "got" in detail(answer)
    assert pipeline.batches == []


async def test_413_while_the_body_streams(service_of: Any) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        while sent < 10_000_000:
            sent += 10_000
            yield bytes(10_000)

    async with client_of(service_of(images={"max_bytes": 1000})) as client:
        answer = await client.post(
            "/v1/predict-single", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    assert answer.status_code == 413
    assert sent < 300_000


async def test_413_if_the_file_but_not_the_form_is_too_large(service_of: Any) -> None:
    async with client_of(service_of(images={"max_bytes": 1000})) as client:
        answer = await send(client, b"x" * 1001)
    assert answer.status_code == 413
    assert detail(answer) == "expected at most 1000 bytes, got 1001"


async def test_503_until_the_weights_are_loaded(settings: Settings) -> None:
    async with client_of(Service(settings)) as client:
        answer = await send(client, picture())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "X-Weights-SHA256" not in answer.headers
    assert "tiny 1.2.3" in detail(answer)


async def test_429_if_too_many_pictures_are_waiting(service_of: Any, pipeline: FakePipeline) -> None:
    pipeline.hold()
    async with client_of(service_of(batching={"queue_size": 1}, http={"retry_after_seconds": 7})) as client:
        admitted = asyncio.create_task(send(client, picture()))
        await until(pipeline.started.is_set)
        for path in ("/v1/predict-single", "/v1/predict-batch"):
            answer = await send(client, picture(), path=path)
            assert answer.status_code == 429
            assert answer.headers["Retry-After"] == "7"
        pipeline.release()
        assert (await admitted).status_code == 200
        metrics = (await client.get("/metrics")).text.splitlines()
    assert "requests_total 3.0" in metrics
    assert "errors_total 0.0" in metrics


async def test_408_if_the_body_does_not_arrive(service_of: Any) -> None:
    never = asyncio.Event()

    async def stalled() -> Any:
        yield b"--x\r\n"
        await never.wait()

    async with client_of(service_of(http={"upload_timeout_seconds": 0.01})) as client:
        answer = await client.post(
            "/v1/predict-single", content=stalled(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    assert answer.status_code == 408
    assert "0.01 s" in detail(answer)


async def test_504_if_it_takes_too_long(service_of: Any, pipeline: FakePipeline) -> None:
    pipeline.hold()
    async with client_of(service_of(http={"timeout_seconds": 0.01})) as client:
        answer = await send(client, picture())
    assert answer.status_code == 504
    assert "0.01 s" in detail(answer)


async def test_500_has_no_details(client: httpx.AsyncClient, pipeline: FakePipeline) -> None:
    pipeline.fails_on = lambda _: True
    answer = await send(client, picture())
    assert answer.status_code == 500
    assert detail(answer) == "internal error"
    assert answer.headers["X-Weights-SHA256"] == DIGEST


async def test_a_threshold_of_zero_accepts_every_picture(service_of: Any) -> None:
    async with client_of(service_of(gate={"threshold": 0.0})) as client:
        found = (await send(client, picture(score=0.0))).json()
        identity = (await client.get("/v1/identity")).json()
    assert (found["is_cetacean"], found["rejected"], found["cetacean_score"]) == (True, False, 0.0)
    assert (identity["gate"]["threshold"], identity["gate"]["enabled"]) == (0.0, False)


async def test_the_bounding_box_is_that_of_the_turned_picture(client: httpx.AsyncClient) -> None:
    data = turned(Image.new("RGB", (60, 40), (230, 200, 0)), "JPEG")
    assert (await send(client, data, kind="image/jpeg")).json()["bbox"] == [0, 0, 40, 60]
