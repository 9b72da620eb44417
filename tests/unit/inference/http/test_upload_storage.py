"""Faults of the pod while it reads an upload: they are answered and counted as its own, not as the client's."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from support.inference_world import FakePipeline, InlineDecoder, client_of
from support.pictures import archive, picture

from cetacean_inference.http.multipart import FileFormParser
from cetacean_inference.imaging.archives import Archive
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.service import Service

SINGLE, BATCH, SHADOW = "/v1/predict-single", "/v1/predict-batch", "/v1/predict-shadow"
LARGE = 2_000_000
"""Bytes of a file that is written to a disk; smaller ones stay in memory."""
UPLOADS = [
    (SINGLE, {"file": ("a.png", picture() + bytes(LARGE), "image/png")}),
    (SHADOW, {"file": ("a.png", picture() + bytes(LARGE), "image/png")}),
    (BATCH, {"archive": ("a.zip", archive([("a.png", picture() + bytes(LARGE))], method=0), "application/zip")}),
]


@pytest.fixture
async def client(service_of: Callable[..., Service]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service_of(http={"retry_after_seconds": 7})) as client:
        yield client


async def counted(client: httpx.AsyncClient, series: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), 0.0)


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every temporary file lie on a device that is full; return what the log says of it."""
    full = Path("/dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("r+b"))
    return f"expected room for an upload in {tempfile.gettempdir()}, got: No space left on device"


def take_the_folder_away(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the folder of temporary files be missing; return what the log says of it."""
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    return "expected room for an upload in /no/such/folder, got: No such file or directory"


def take_every_folder_away(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let no folder take temporary files; return what the log says of it."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/no/such/folder"])
    return "expected room for an upload in any folder, got: No usable temporary directory found in ['/no/such/folder']"


FAULTS = [fill_the_disk, take_the_folder_away, take_every_folder_away]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("path", "files"), UPLOADS)
async def test_503_if_an_upload_cannot_be_stored(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[pytest.MonkeyPatch], str],
    path: str,
    files: dict[str, Any],
) -> None:
    said = fault(monkeypatch)
    caplog.set_level(logging.ERROR)
    answer = await client.post(path, files=files)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json() == {"detail": "expected room to store the upload, got none: try again later"}
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{said}. Clients get 503 for files of more than 1 MiB: free the disk of the node, or delete the pod, so that "
        "another one begins with an empty volume"
    )
    if path == SHADOW:
        assert await counted(client, 'cetacean_inference_shadow_requests_total{status="503"}') == 1
    else:
        assert (await counted(client, "requests_total"), await counted(client, "errors_total")) == (1, 1)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_small_upload_needs_no_disk(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], str]
) -> None:
    fault(monkeypatch)
    assert (await client.post(SINGLE, files={"file": ("a.png", picture(), "image/png")})).status_code == 200


@pytest.mark.parametrize(("path", "files"), UPLOADS)
async def test_500_if_the_forms_reader_has_a_fault(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
    files: dict[str, Any],
) -> None:
    async def fail(_: FileFormParser) -> NoReturn:
        raise KeyError("a fault")

    monkeypatch.setattr(FileFormParser, "parse", fail)
    answer = await client.post(path, files=files)
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    assert f"{path} failed" in caplog.messages
    assert any(record.exc_info and isinstance(record.exc_info[1], KeyError) for record in caplog.records)


async def test_a_body_that_no_endpoint_takes_is_not_read(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        pytest.fail("the body is read")
        yield b""

    form = {"Content-Type": "multipart/form-data; boundary=XyZ"}
    answer = await client.request("GET", "/v1/shadow-stats", content=body(), headers=form)
    assert answer.status_code == 200


async def test_an_archive_is_answered_with_the_status_of_a_decoder_that_cannot_work(
    service_of: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def decode(*_: Any) -> NoReturn:
        raise RequestRejected(503, "pictures cannot be decoded at present", retry_after=7)

    monkeypatch.setattr(InlineDecoder, "decode", decode)
    async with client_of(service_of()) as client:
        answer = await client.post(BATCH, files={"archive": ("a.zip", archive([("a.png", picture())]))})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
        assert answer.json() == {"detail": "pictures cannot be decoded at present"}
        assert await counted(client, "errors_total") == 1


async def test_a_disk_that_cannot_be_read_makes_no_corrupted_picture(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, pipeline: FakePipeline
) -> None:
    def unpack(*_: Any) -> NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Archive, "_unpack", unpack)
    answer = await client.post(BATCH, files={"archive": ("a.zip", archive([("a.png", picture())]))})
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    assert pipeline.batches == []
