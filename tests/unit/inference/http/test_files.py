"""Every kind of file in the contract, sent to a running process: statuses and messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from support.inference_world import client_of
from support.pictures import announced_png, archive, encoded, picture, turned
from support.served import serving_process

LANDSCAPE = Image.new("RGB", (60, 40), (230, 200, 0))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a process that serves; it must exit with 0 at the end."""
    directory = tmp_path_factory.mktemp("served")
    with serving_process(directory) as served:
        served.load()
        (directory / "compute").touch()
        served.wait_for_status("/v2/health/ready", 200)
        yield str(served.client.base_url)
        served.process.terminate()
        assert served.wait_for_exit()[0] == 0


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
        pytest.param(turned(LANDSCAPE, "JPEG"), (40, 60), id="turned JPEG"),
        pytest.param(turned(LANDSCAPE, "PNG"), (40, 60), id="turned PNG"),
        pytest.param(turned(LANDSCAPE, "WEBP"), (40, 60), id="turned WebP"),
        pytest.param(encoded(Image.new("CMYK", (40, 30), (0, 30, 255, 20)), "JPEG"), (40, 30), id="CMYK"),
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


BOMB = announced_png(30_000, 30_000)
WHOLE = picture(kind="JPEG", size=(300, 200))


@pytest.mark.parametrize(
    ("data", "status", "message", "size"),
    [
        pytest.param(WHOLE[: len(WHOLE) // 2], 415, "truncated", [0, 0, 300, 200], id="truncated"),
        pytest.param(BOMB, 413, "at most 64000000 pixels, got 30000x30000", [0, 0, 30_000, 30_000], id="bomb"),
        pytest.param(b"words in a .jpg file\n", 415, "no such format", [0, 0, 0, 0], id="text"),
        pytest.param(b"", 400, "empty", [0, 0, 0, 0], id="empty"),
    ],
)
async def test_an_unusable_picture_is_rejected_alone_and_corrupted_in_an_archive(
    client: httpx.AsyncClient, data: bytes, status: int, message: str, size: list[int]
) -> None:
    alone = await single(client, data)
    assert alone.status_code == status
    assert message in alone.json()["detail"]
    together = await batch(client, archive([("a.jpg", data), ("b.png", picture())]))
    assert together.status_code == 200
    found, other = together.json()
    assert (found["rejected"], found["rejection_reason"], found["bbox"]) == (True, "corrupted_image", size)
    assert (found["class_animal"], found["id_animal"], found["probability"]) == ("", "unknown", 0.0)
    assert not other["rejected"]


async def test_after_a_file_that_is_too_large_the_connection_can_be_used(client: httpx.AsyncClient) -> None:
    answer = await single(client, bytes(26 * 2**20 + 1))
    assert answer.status_code == 413
    assert "expected at most" in answer.json()["detail"]
    assert (await single(client, picture())).status_code == 200


async def test_directories_and_nested_archives_are_skipped_and_counted(client: httpx.AsyncClient) -> None:
    inner = archive([("inside.png", picture())])
    answer = await batch(client, archive([("a/", b""), ("a/b/", b""), ("a/b/c.png", picture()), ("inner.zip", inner)]))
    assert [one["image_ind"] for one in answer.json()] == ["a/b/c.png"]
    assert answer.headers["X-Skipped-Entries"] == "3"


@pytest.mark.parametrize("name", ["../../../etc/passwd.png", "/etc/passwd.png", "..\\..\\etc\\passwd.png"])
async def test_a_name_outside_of_the_archive_is_made_safe(client: httpx.AsyncClient, name: str) -> None:
    answer = await batch(client, archive([(name, picture())]))
    assert [one["image_ind"] for one in answer.json()] == ["etc/passwd.png"]


@pytest.mark.parametrize("name", ["..", "/../.."])
async def test_an_entry_of_which_no_name_is_left_is_called_as_a_single_picture_is(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await batch(client, archive([(name, picture())]))
    assert [one["image_ind"] for one in answer.json()] == ["unknown"]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        pytest.param("é1.png".encode(), "é1.png", id="UTF-8 without the flag"),
        pytest.param(b"\x82x1.png", "éx1.png", id="code page 437"),
    ],
)
async def test_a_name_without_the_utf8_flag_is_decoded(client: httpx.AsyncClient, raw: bytes, name: str) -> None:
    answer = await batch(client, archive([("xxx.png", picture())]).replace(b"xxx.png", raw))
    assert answer.status_code == 200
    assert [one["image_ind"] for one in answer.json()] == [name]


async def test_400_if_a_name_with_the_utf8_flag_is_not_utf8(client: httpx.AsyncClient) -> None:
    answer = await batch(client, archive([("éx.png", picture())]).replace("éx.png".encode(), b"\xff\xffx.png"))
    assert answer.status_code == 400
    assert "readable zip archive" in answer.json()["detail"]


@pytest.fixture(scope="module")
def very_many() -> bytes:
    """An archive of 10,000 entries; the last one is a picture."""
    return archive([*((f"{number}.txt", b"") for number in range(9_999)), ("a.png", picture())])


async def test_ten_thousand_entries_are_rejected_by_default(client: httpx.AsyncClient, very_many: bytes) -> None:
    answer = await batch(client, very_many)
    assert answer.status_code == 413
    assert "expected at most 1000 entries" in answer.json()["detail"]


async def test_ten_thousand_entries_are_answered_if_the_settings_allow_them(service_of: Any, very_many: bytes) -> None:
    async with client_of(service_of(archives={"max_entries": 10_000})) as client:
        answer = await batch(client, very_many)
    assert [one["image_ind"] for one in answer.json()] == ["a.png"]
    assert answer.headers["X-Skipped-Entries"] == "9999"
