"""Whatever an archive holds: pictures, or a rejection in one line, within bounds of time and memory."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from hypothesis import strategies as st
from support.fuzzing import assert_message, bounded, fuzzed
from support.mutations import mutated
from support.pictures import archive, picture

from cetacean_inference.imaging.archives import Archive, clean_name
from cetacean_inference.rejected_requests import RequestRejected, UnusableImage
from cetacean_inference.settings import ArchiveSettings, ImageSettings

BOUNDS = ArchiveSettings(max_entries=50, max_unpacked_bytes=4_000_000, max_ratio=100)
IMAGES = ImageSettings(max_bytes=1_000_000)
SMALL = picture(size=(4, 4))


def read_all(data: bytes) -> list[bytes]:
    """Return the pictures of an archive, after checking the names and the messages."""
    contents = []
    with bounded(cpu_seconds=3.0, memory=64 * 2**20):
        try:
            opened = Archive(io.BytesIO(data), settings=BOUNDS, images=IMAGES)
        except RequestRejected as error:
            assert_rejection(error, 400, 413)
            return []
        with opened:
            assert len(opened.entries) + opened.skipped <= BOUNDS.max_entries
            for entry in opened.entries:
                assert_clean(entry.name)
                try:
                    contents.append(opened.read(entry))
                except UnusableImage as error:
                    assert_rejection(error, 413, 415)
    assert all(len(content) <= IMAGES.max_bytes for content in contents)
    assert sum(map(len, contents)) <= BOUNDS.max_unpacked_bytes
    return contents


def assert_rejection(error: RequestRejected, *statuses: int) -> None:
    assert error.status in statuses
    assert not isinstance(error.__cause__, MemoryError), "expected bounded memory"
    assert_message(error.detail, longest=1000)


def assert_clean(name: str) -> None:
    assert name == "" or name.isprintable()
    path = PurePosixPath(name)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert "\\" not in name


SEEDS = (
    archive([("a.png", SMALL), ("folder/b.png", SMALL), ("notes.txt", b"x")]),
    archive([("a.png", SMALL)], method=zipfile.ZIP_DEFLATED),
    archive([]),
)


@fuzzed(mutated(SEEDS), examples=400)
def test_a_damaged_archive_gives_pictures_or_a_rejection(data: bytes) -> None:
    read_all(data)


NUMBERS = st.one_of(st.integers(0, 300), st.sampled_from((0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000)))
NAMES = st.sampled_from(
    (
        b"a.png",
        b"",
        b"/",
        b"../../a.png",
        b"C:\\a.png",
        b"\xff\xfe.png",
        b"a\0b.png",
        b"a" * 5000,
        "кит.png".encode("cp866"),
        b"\x1b[31m.png",
        b"__MACOSX/a.png",
    )
) | st.binary(max_size=30)
EXTRAS = st.sampled_from(
    (
        b"",
        b"\x75\x70\xff\xff",
        struct.pack("<HHBI", 0x7075, 8, 1, zlib.crc32(b"a.png")) + b"b\xff\0",
        struct.pack("<HHBI", 0x7075, 11, 1, zlib.crc32(b"a.png")) + "к.png".encode(),
        struct.pack("<HHQQQ", 1, 24, 2**63, 2**63, 2**64 - 1),
        struct.pack("<HH", 1, 0),
        b"\0" * 3,
    )
)


@st.composite
def _crafted(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """An archive whose directory says other things than its entries."""
    body, directory, count = b"", b"", draw(st.integers(0, 5))
    for _ in range(count):
        name, extra = draw(NAMES), draw(EXTRAS)
        content = draw(st.sampled_from((SMALL, b"", b"\0" * 70_000, b"\xff\xd8\xff" + b"x" * 20)))
        method = draw(st.sampled_from((0, 8, 8, 12, 99)))
        squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = squeezer.compress(content) + squeezer.flush() if method == 8 else content
        size, unpacked = len(packed), len(content)
        crc = zlib.crc32(content) if draw(st.booleans()) else draw(NUMBERS)
        if draw(st.integers(0, 3)) == 0:
            size = draw(NUMBERS)
        if draw(st.integers(0, 3)) == 0:
            unpacked = draw(NUMBERS)
        flags = draw(st.sampled_from((0, 0, 0x800, 1, 8)))
        offset = len(body) if draw(st.integers(0, 4)) else draw(NUMBERS)
        local = draw(NAMES) if draw(st.booleans()) else name
        body += (
            struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 0, crc, size, unpacked, len(local), 0)
            + local
            + packed
        )
        directory += (
            struct.pack(
                "<4s6H3I5H2I",
                b"PK\1\2",
                20,
                20,
                flags,
                method,
                0,
                0,
                crc,
                size,
                unpacked,
                len(name),
                len(extra),
                0,
                0,
                0,
                0,
                offset,
            )
            + name
            + extra
        )
    announced = count if draw(st.integers(0, 4)) else draw(st.sampled_from((0, 1, 0xFFFF)))
    size = len(directory) if draw(st.integers(0, 5)) else draw(NUMBERS)
    begin = len(body) if draw(st.integers(0, 5)) else draw(NUMBERS)
    return body + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, announced, announced, size, begin, 0)


@fuzzed(_crafted(), examples=400)
def test_an_archive_whose_directory_lies_gives_pictures_or_a_rejection(data: bytes) -> None:
    read_all(data)


@fuzzed(st.tuples(st.integers(1, 3_000_000), st.booleans(), st.integers(1, 4)), examples=60)
def test_no_archive_unpacks_to_more_than_its_bounds(case: tuple[int, bool, int]) -> None:
    size, lies, copies = case
    content = b"\xff\xd8\xff" + bytes(size)
    data = archive([(f"{number}.jpg", content) for number in range(copies)], method=zipfile.ZIP_DEFLATED)
    if lies:
        data = data.replace(struct.pack("<I", len(content)), struct.pack("<I", 10))
    read_all(data)


@cache
def _large() -> tuple[int, bytes]:
    """Return a size, and an archive of a hundred kilobytes with one picture that has it."""
    content = b"\xff\xd8\xff" + bytes(100 * 2**20)
    return len(content), archive([("a.jpg", content)], method=zipfile.ZIP_DEFLATED)


@fuzzed(st.integers(0, IMAGES.max_bytes), examples=20)
def test_no_entry_unpacks_to_more_than_the_directory_announces(announced: int) -> None:
    size, data = _large()
    assert read_all(data.replace(struct.pack("<I", size), struct.pack("<I", announced))) == []


@fuzzed(st.text(max_size=200) | st.text(alphabet="./\\:C\0a", max_size=40), examples=200)
def test_any_name_becomes_a_safe_path(name: str) -> None:
    assert_clean(clean_name(name))
    assert clean_name(clean_name(name)) == clean_name(name)
