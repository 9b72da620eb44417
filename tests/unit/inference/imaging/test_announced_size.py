"""The size that the head of a file announces."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.pictures import announced_png, encoded
from support.worst_pictures import progressive_jpeg, run_length_bmp

from cetacean_inference.imaging.announced_size import MAX_SEGMENTS, announced_size

KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "JPEG with metadata": ("JPEG", {"exif": b"Exif\0\0II*\0" + bytes(60_000), "comment": b"word"}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "WebP with metadata": ("WEBP", {"exif": b"Exif\0\0II*\0"}),
    "BMP": ("BMP", {}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (300, 70), (70, 300)])
def test_the_size_is_that_of_the_decoded_picture(kind: str, size: tuple[int, int]) -> None:
    name, options = KINDS[kind]
    assert announced_size(encoded(Image.new("RGB", size, (9, 90, 200)), name, **options)) == size


def test_bmp_files_from_top_to_bottom_and_with_a_short_head_have_a_size() -> None:
    from_top = bytearray(run_length_bmp(4, 6))
    struct.pack_into("<i", from_top, 22, -6)
    assert announced_size(bytes(from_top)) == (4, 6)
    assert announced_size(b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 5, 7, 1, 24)) == (5, 7)


def test_fill_bytes_before_a_jpeg_marker_are_skipped() -> None:
    data = progressive_jpeg(16, 1)
    assert announced_size(data[:2] + b"\xff\xff" + data[2:]) == (16, 16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"words",
        encoded(Image.new("RGB", (8, 8)), "TIFF"),
        announced_png(5, 5)[:20],
        b"\xff\xd8\0\0\0\0",
        b"\xff\xd8" + b"\xff\xfe\0\2" * (MAX_SEGMENTS + 1) + progressive_jpeg(16, 1)[2:],
        b"RIFF\0\0\0\0WEBPnone" + bytes(30),
    ],
    ids=["empty", "words", "TIFF", "truncated", "no marker", "many segments", "another WebP"],
)
def test_a_file_without_a_head_of_this_kind_announces_no_size(data: bytes) -> None:
    assert announced_size(data) is None


@given(head=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF0000WEBPVP8 ", b"BM"]), rest=st.binary())
def test_damaged_heads_are_no_errors(head: bytes, rest: bytes) -> None:
    announced_size(head + rest)
