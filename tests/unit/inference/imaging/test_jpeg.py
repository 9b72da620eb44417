"""The markers of JPEG files: where the picture ends, and what is handed to the decoder."""

from __future__ import annotations

import struct

import pytest

from cetacean_inference.imaging.jpeg import strict_jpeg

START, END = b"\xff\xd8", b"\xff\xd9"
PIXELS = b"\x12\xff\x00\x34\xff\xd0\x56\xff\xd7\x78"
"""Compressed data, with 0xff as data and with the first and the last restart marker."""
PADDING = bytes(16)


def segment(code: int, content: bytes = b"\1\2\3") -> bytes:
    return bytes((0xFF, code)) + struct.pack(">H", 2 + len(content)) + content


SCAN = segment(0xDA) + PIXELS
BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = (segment(code) for code in (0xC0, 0xC1, 0xC2, 0xC3))


@pytest.mark.parametrize("frame", [BASELINE, EXTENDED])
def test_of_one_sequential_scan_the_decoder_gets_no_end_marker(frame: bytes) -> None:
    picture = START + frame + SCAN
    assert strict_jpeg(picture + END) == picture + PADDING


@pytest.mark.parametrize("frame", [PROGRESSIVE, LOSSLESS])
def test_of_another_kind_it_gets_the_end_marker(frame: bytes) -> None:
    picture = START + frame + SCAN
    assert strict_jpeg(picture + END) == picture + END


@pytest.mark.parametrize("scans", [0, 2, 3])
def test_of_several_scans_it_gets_the_end_marker(scans: int) -> None:
    picture = START + BASELINE + SCAN * scans
    assert strict_jpeg(picture + END) == picture + END


def test_what_follows_the_end_marker_and_fill_bytes_before_it_are_left_out() -> None:
    picture = START + BASELINE + SCAN
    assert strict_jpeg(picture + b"\xff\xff" + END + START + PROGRESSIVE + SCAN + END) == picture + PADDING
    assert strict_jpeg(START + PROGRESSIVE + SCAN + b"X\xff" + END + b"x") == START + PROGRESSIVE + SCAN + b"X" + END


@pytest.mark.parametrize("length", [0, 1, 2, 253, 300, 65_000])
def test_a_picture_inside_of_a_segment_is_skipped(length: int) -> None:
    inner = (START + PROGRESSIVE + SCAN + END).rjust(length + 30, b"x")
    picture = START + segment(0xE1, inner) + segment(0xFE, END * 2) + BASELINE + SCAN
    assert strict_jpeg(picture + END) == picture + PADDING


def test_the_temporary_marker_has_no_length() -> None:
    picture = START + b"\xff\x01" + BASELINE + SCAN
    assert strict_jpeg(picture + END) == picture + PADDING
    assert strict_jpeg(START + b"\xff\x01" + END) == START + b"\xff\x01" + END


@pytest.mark.parametrize("code", [0x02, 0xBF, 0xC4, 0xCF, 0xDB, 0xE0, 0xFE])
def test_any_other_marker_has_a_length(code: int) -> None:
    picture = START + segment(code, END) + BASELINE + SCAN
    assert strict_jpeg(picture + END) == picture + PADDING


@pytest.mark.parametrize(
    "data",
    [
        b"",
        START,
        START + BASELINE,
        START + BASELINE + SCAN,
        START + b"\xff\xe1",
        START + b"\xff\xe1\x00",
        START + segment(0xE1, bytes(9))[:-3] + END,
        START + BASELINE + SCAN + b"\xff",
    ],
)
def test_without_an_end_marker_there_is_no_picture(data: bytes) -> None:
    assert strict_jpeg(data) is None
