"""Every kind of file that the contract names, sent to a running process: what is answered, and with which words."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from support.inference_world import archive, client_of, picture
from support.served import serving_process


def png_head(width: int, height: int) -> bytes:
    """A PNG file that says it is that large, and is not."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(kind: str) -> bytes:
    """A picture that its EXIF data turns by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.new("RGB", (60, 40), (230, 200, 0)), kind, exif=exif)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a process that serves; in the end it ends in good order."""
    directory = tmp_path_factory.mktemp("served")
    with serving_process(directory) as served:
        served.load()
        (directory / "compute").touch()
        served.until(lambda: served.status("/v2/health/ready") == 200)
        yield str(served.client.base_url)
        served.process.terminate()
        assert served.ended()[0] == 0


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield client


async def single(client: httpx.AsyncClient, data: bytes, *, name: str = "a.jpg") -> httpx.Response:
    return await client.post("/v1/predict-single", files={"file": (name, data, "image/jpeg")})


async def batch(client: httpx.AsyncClient, data: bytes) -> httpx.Response:
    return await client.post("/v1/predict-batch", files={"archive": ("a.zip", data, "application/zip")})


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(picture(kind="JPEG", quality=95), (40, 30), id="JPEG"),
        pytest.param(picture(kind="PNG"), (40, 30), id="PNG"),
        pytest.param(picture(kind="WEBP", lossless=True), (40, 30), id="WebP"),
        pytest.param(turned("JPEG"), (40, 60), id="turned JPEG"),
        pytest.param(turned("PNG"), (40, 60), id="turned PNG"),
        pytest.param(turned("WEBP"), (40, 60), id="turned WebP"),
        pytest.param(saved(Image.new("CMYK", (40, 30), (0, 30, 255, 20)), "JPEG"), (40, 30), id="CMYK"),
        pytest.param(picture(size=(1, 1)), (1, 1), id="1x1"),
    ],
)
async def test_a_picture_is_answered_alone_and_in_an_archive(
    client: httpx.AsyncClient, data: bytes, size: tuple[int, int]
) -> None:
    alone = await single(client, data)
    together = await batch(client, archive([("a.jpg", data)]))
    assert (alone.status_code, together.status_code) == (200, 200)
    assert alone.json()["bbox"] == [0, 0, *size]
    assert alone.json()["is_cetacean"]
    assert together.json() == [alone.json()]


BOMB = png_head(30_000, 30_000)
WHOLE = picture(kind="JPEG", size=(300, 200))


@pytest.mark.parametrize(
    ("data", "status", "told", "size"),
    [
        pytest.param(WHOLE[: len(WHOLE) // 2], 415, "truncated", [0, 0, 300, 200], id="truncated"),
        pytest.param(BOMB, 413, "at most 64000000 pixels, got 30000x30000", [0, 0, 30_000, 30_000], id="bomb"),
        pytest.param(b"words that are called .jpg\n", 415, "no such format", [0, 0, 0, 0], id="text"),
        pytest.param(b"", 400, "empty", [0, 0, 0, 0], id="empty"),
    ],
)
async def test_what_is_no_usable_picture_is_refused_alone_and_corrupted_in_an_archive(
    client: httpx.AsyncClient, data: bytes, status: int, told: str, size: list[int]
) -> None:
    alone = await single(client, data)
    assert alone.status_code == status
    assert told in alone.json()["detail"]
    together = await batch(client, archive([("a.jpg", data), ("b.png", picture())]))
    assert together.status_code == 200
    found, other = together.json()
    assert (found["rejected"], found["rejection_reason"], found["bbox"]) == (True, "corrupted_image", size)
    assert (found["class_animal"], found["id_animal"], found["probability"]) == ("", "unknown", 0.0)
    assert not other["rejected"]


async def test_a_file_that_is_too_large_is_refused_and_the_connection_goes_on(client: httpx.AsyncClient) -> None:
    answer = await single(client, bytes(26 * 2**20 + 1))
    assert answer.status_code == 413
    assert "expected at most" in answer.json()["detail"]
    assert (await single(client, picture())).status_code == 200


async def test_directories_and_nested_archives_are_skipped_and_counted(client: httpx.AsyncClient) -> None:
    inner = archive([("inside.png", picture())])
    answer = await batch(client, archive([("a/", b""), ("a/b/", b""), ("a/b/c.png", picture()), ("inner.zip", inner)]))
    assert [one["image_ind"] for one in answer.json()] == ["a/b/c.png"]
    assert answer.headers["X-Skipped-Entries"] == "3"


async def test_an_archive_that_unpacks_to_far_more(client: httpx.AsyncClient) -> None:
    answer = await batch(client, archive([("a.bmp", bytes(5_000_000))], method=zipfile.ZIP_DEFLATED))
    assert answer.status_code == 413
    assert "a.bmp: expected to unpack to at most 200 times its size" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["../../../etc/passwd.png", "/etc/passwd.png", "..\\..\\etc\\passwd.png"])
async def test_a_name_that_leads_out_of_the_archive(client: httpx.AsyncClient, name: str) -> None:
    answer = await batch(client, archive([(name, picture())]))
    assert [one["image_ind"] for one in answer.json()] == ["etc/passwd.png"]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        pytest.param("é1.png".encode(), "é1.png", id="UTF-8 that is not said"),
        pytest.param(b"\x82x1.png", "éx1.png", id="code page 437"),
    ],
)
async def test_a_name_that_is_not_said_to_be_utf8(client: httpx.AsyncClient, raw: bytes, name: str) -> None:
    answer = await batch(client, archive([("xxx.png", picture())]).replace(b"xxx.png", raw))
    assert answer.status_code == 200
    assert [one["image_ind"] for one in answer.json()] == [name]


async def test_a_name_that_is_said_to_be_utf8_and_is_not(client: httpx.AsyncClient) -> None:
    answer = await batch(client, archive([("éx.png", picture())]).replace("éx.png".encode(), b"\xff\xffx.png"))
    assert answer.status_code == 400
    assert "readable zip archive" in answer.json()["detail"]


@pytest.fixture(scope="module")
def very_many() -> bytes:
    """An archive of 10,000 entries, the last of which is a picture."""
    return archive([*((f"{number}.txt", b"") for number in range(9_999)), ("a.png", picture())])


async def test_ten_thousand_entries(client: httpx.AsyncClient, very_many: bytes) -> None:
    answer = await batch(client, very_many)
    assert answer.status_code == 413
    assert "expected at most 1000 entries" in answer.json()["detail"]


async def test_ten_thousand_entries_where_they_are_let_in(service_of: Any, very_many: bytes) -> None:
    async with client_of(service_of(archives={"max_entries": 10_000})) as client:
        answer = await batch(client, very_many)
    assert [one["image_ind"] for one in answer.json()] == ["a.png"]
    assert answer.headers["X-Skipped-Entries"] == "9999"
