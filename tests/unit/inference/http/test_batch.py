"""POST /v1/predict-batch: the contract, line by line."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Any

import httpx
import pytest
from support.inference_world import DIGEST, FakePipeline, client_of
from support.pictures import archive, picture
from support.waiting import until

PATH = "/v1/predict-batch"


async def send(
    client: httpx.AsyncClient, data: bytes, *, name: str = "a.zip", kind: str = "application/zip", path: str = PATH
) -> httpx.Response:
    return await client.post(path, files={"archive": (name, data, kind)})


@pytest.mark.parametrize("path", ["/v1/predict-batch", "/predict-batch"])
async def test_detections_have_the_order_of_the_archive(client: httpx.AsyncClient, path: str) -> None:
    entries = [(f"{number}.png", picture(score=0.6 + number / 255)) for number in (3, 1, 2, 0, 4)]
    answer = await send(client, archive(entries), path=path)
    assert answer.status_code == 200
    found = answer.json()
    assert [one["image_ind"] for one in found] == [name for name, _ in entries]
    assert [one["cetacean_score"] for one in found] == [round((153 + number) / 255, 4) for number in (3, 1, 2, 0, 4)]
    assert {one["mask"] for one in found} == {None}
    assert answer.headers["X-Skipped-Entries"] == "0"
    assert answer.headers["X-Weights-SHA256"] == DIGEST


async def test_an_empty_archive_has_no_detections(client: httpx.AsyncClient) -> None:
    answer = await send(client, archive([]))
    assert (answer.status_code, answer.json()) == (200, [])


async def test_entries_that_are_no_pictures_are_skipped_and_counted(client: httpx.AsyncClient) -> None:
    data = archive([("a.png", picture()), ("notes.txt", b"words"), ("folder/", b""), ("inner.zip", archive([]))])
    answer = await send(client, data)
    assert [one["image_ind"] for one in answer.json()] == ["a.png"]
    assert answer.headers["X-Skipped-Entries"] == "3"


async def test_a_corrupted_picture_is_rejected_and_the_others_are_answered(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cetacean_inference.predictions")
    whole = picture(size=(300, 200))
    data = archive(
        [("a.png", picture()), ("b.png", whole[: len(whole) - 40]), ("c.jpg", b"words"), ("d.png", picture())]
    )
    answer = await send(client, data)
    assert answer.status_code == 200
    found = answer.json()
    assert [one["rejection_reason"] for one in found] == [None, "corrupted_image", "corrupted_image", None]
    assert [one["bbox"] for one in found] == [[0, 0, 40, 30], [0, 0, 300, 200], [0, 0, 0, 0], [0, 0, 40, 30]]
    metrics = (await client.get("/metrics")).text
    assert 'rejections_by_reason{reason="corrupted_image"} 2.0' in metrics
    logged = {record.image_sha256 for record in caplog.records if record.message.startswith("corrupted")}  # type: ignore[attr-defined]
    assert logged == {hashlib.sha256(data).hexdigest() for data in (whole[: len(whole) - 40], b"words")}
    assert (await client.get("/v1/drift-stats")).json()["n"] == 2


@pytest.mark.parametrize("kind", ["application/zip", "application/x-zip-compressed", "application/octet-stream"])
async def test_every_media_type_of_zip_is_accepted(client: httpx.AsyncClient, kind: str) -> None:
    assert (await send(client, archive([("a.png", picture())]), kind=kind)).status_code == 200


async def test_bytes_without_a_specific_type_are_recognised_by_their_signature(client: httpx.AsyncClient) -> None:
    data = archive([("a.png", picture())])
    assert (await send(client, data, name="upload", kind="application/octet-stream")).status_code == 200
    assert (await send(client, b"words", name="upload", kind="application/octet-stream")).status_code == 415


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/gzip"])
async def test_415_if_the_media_type_is_not_zip(client: httpx.AsyncClient, kind: str) -> None:
    answer = await send(client, b"words", kind=kind)
    assert answer.status_code == 415
    assert kind in answer.json()["detail"]


@pytest.mark.parametrize("data", [b"", b"words", b"PK\x03\x04 and no more", archive([("a.png", picture())])[:-30]])
async def test_400_if_the_zip_is_unreadable(client: httpx.AsyncClient, data: bytes) -> None:
    answer = await send(client, data)
    assert answer.status_code == 400
    assert "readable zip archive" in answer.json()["detail"]


async def test_422_if_the_field_is_missing(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, files={"file": ("a.zip", archive([]), "application/zip")})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "archive: expected a file, got none"


async def test_413_if_a_bound_is_exceeded(service_of: Any) -> None:
    async with client_of(service_of(archives={"max_entries": 2})) as client:
        answer = await send(client, archive([(f"{number}.png", b"") for number in range(3)]))
    assert answer.status_code == 413
    assert "at most 2 entries" in answer.json()["detail"]


async def test_an_archive_of_more_pictures_than_the_queues_size_is_answered(service_of: Any) -> None:
    service = service_of(batching={"queue_size": 4, "max_size": 2})
    async with client_of(service) as client:
        answer = await send(client, archive([(f"{number}.png", picture()) for number in range(30)]))
    assert len(answer.json()) == 30


async def test_an_archive_leaves_room_in_the_queue_for_other_requests(service_of: Any, pipeline: FakePipeline) -> None:
    pipeline.hold()
    service = service_of(batching={"queue_size": 4, "max_size": 2})
    async with client_of(service) as client:
        archived = asyncio.create_task(send(client, archive([(f"{number}.png", picture()) for number in range(9)])))
        await until(pipeline.started.is_set)
        single = asyncio.create_task(
            client.post("/v1/predict-single", files={"file": ("a.png", picture(), "image/png")})
        )
        await asyncio.sleep(0)
        pipeline.release()
        assert (await single).status_code == 200
        assert len((await archived).json()) == 9


async def test_500_if_one_picture_fails(client: httpx.AsyncClient, pipeline: FakePipeline) -> None:
    pipeline.fails_on = lambda batch: any(red == 255 for red, _, _ in batch)
    answer = await send(client, archive([("a.png", picture(score=0.5)), ("b.png", picture(score=1.0))]))
    assert answer.status_code == 500


async def test_504_if_it_takes_too_long(service_of: Any, pipeline: FakePipeline) -> None:
    pipeline.hold()
    async with client_of(service_of(http={"archive_timeout_seconds": 0.01})) as client:
        answer = await send(client, archive([("a.png", picture())]))
    assert answer.status_code == 504
