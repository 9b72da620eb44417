"""The segments of JPEG files: what is handed to the decoder, and where the orientation is read."""

from __future__ import annotations

import struct

import pytest

from cetacean_inference.imaging.jpeg import Jpeg, read_jpeg

START, END = b"\xff\xd8", b"\xff\xd9"
PIXELS = b"\x12\xff\x00\x34"
"""Compressed data, with 0xff as data."""
PADDING = bytes(16)
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


def picture_of(data: bytes) -> bytes:
    found = read_jpeg(data)
    assert found.damage is None
    return found.picture


def segment(code: int, content: bytes = b"\1\2\3") -> bytes:
    return bytes((0xFF, code)) + struct.pack(">H", 2 + len(content)) + content


SCAN = segment(0xDA) + PIXELS
BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = (segment(code) for code in (0xC0, 0xC1, 0xC2, 0xC3))


@pytest.mark.parametrize("frame", [BASELINE, EXTENDED])
def test_of_one_sequential_scan_the_decoder_gets_no_end_marker(frame: bytes) -> None:
    picture = START + frame + SCAN
    assert picture_of(picture + END) == picture + PADDING


@pytest.mark.parametrize("frame", [PROGRESSIVE, LOSSLESS])
def test_of_another_kind_it_gets_the_end_marker(frame: bytes) -> None:
    picture = START + frame + SCAN
    assert picture_of(picture + END) == picture + END


@pytest.mark.parametrize("code", [0xC9, 0xCA])
def test_arithmetic_codes_are_not_taken(code: int) -> None:
    found = read_jpeg(START + segment(code) + SCAN + END)
    assert found.damage is not None
    assert "arithmetic" in found.damage


@pytest.mark.parametrize("scans", [0, 2, 3])
def test_of_several_scans_it_gets_the_end_marker(scans: int) -> None:
    picture = START + BASELINE + SCAN * scans
    assert picture_of(picture + END) == picture + END


def test_what_follows_the_end_marker_and_fill_bytes_before_it_are_left_out() -> None:
    picture = START + BASELINE + SCAN
    assert picture_of(picture + b"\xff\xff" + END + START + PROGRESSIVE + SCAN + END) == picture + PADDING
    assert picture_of(START + PROGRESSIVE + SCAN + b"X\xff" + END + b"x") == START + PROGRESSIVE + SCAN + b"X" + END


@pytest.mark.parametrize("length", [0, 1, 2, 253, 300, 65_000])
def test_a_picture_inside_of_a_segment_is_skipped(length: int) -> None:
    inner = (START + PROGRESSIVE + SCAN + END).rjust(length + 30, b"x")
    picture = START + segment(0xE0, inner) + segment(0xEE, END * 2) + BASELINE + SCAN
    assert picture_of(picture + END) == picture + PADDING


@pytest.mark.parametrize("code", [*range(0xE1, 0xEE), 0xEF, 0xFE])
def test_what_is_not_part_of_the_picture_is_left_out(code: int) -> None:
    more = segment(code) + segment(code, END + EXIF)
    found = read_jpeg(START + more + BASELINE + b"\xff" + more + SCAN + more + END)
    assert found == Jpeg(START + BASELINE + b"\xff" + SCAN + PADDING, None, None)


def test_the_temporary_marker_has_no_length() -> None:
    picture = START + b"\xff\x01" + BASELINE + SCAN
    assert picture_of(picture + END) == picture + PADDING
    assert picture_of(START + b"\xff\x01" + END) == START + b"\xff\x01" + END


@pytest.mark.parametrize("code", [0x02, 0xBF, 0xC4, 0xCF, 0xDB, 0xE0, 0xEE, 0xF0, 0xFD])
def test_any_other_marker_has_a_length(code: int) -> None:
    picture = START + segment(code, END) + BASELINE + SCAN
    assert picture_of(picture + END) == picture + PADDING


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
    assert read_jpeg(data).damage == "it is truncated, without an end marker"


def test_what_is_left_of_a_picture_without_an_end_marker_has_its_size() -> None:
    assert read_jpeg(START + segment(0xE1) + BASELINE + SCAN).picture == START + BASELINE + SCAN


@pytest.mark.parametrize(
    ("segments", "exif", "xmp"),
    [
        (segment(0xE1, EXIF + b"12"), b"12", None),
        (segment(0xE1, EXIF), None, None),
        (segment(0xE1, EXIF) + segment(0xE1, EXIF + b"12") + segment(0xE1, EXIF + b"3"), b"123", None),
        (segment(0xE1, XMP + b"12"), None, b"12"),
        (segment(0xE1, XMP + b"12") + segment(0xE1, EXIF + b"34"), b"34", b"12"),
        (segment(0xE1, XMP + b"12") + segment(0xE1, XMP + b"34"), None, b"34"),
        (segment(0xE2, EXIF + b"12") + segment(0xE2, XMP + b"12"), None, None),
        (segment(0xE1, b"x" + EXIF) + segment(0xE1, b"x" + XMP), None, None),
    ],
)
def test_data_about_the_orientation_are_read(segments: bytes, exif: bytes | None, xmp: bytes | None) -> None:
    whole = read_jpeg(START + segments + BASELINE + SCAN + END)
    assert (whole.exif, whole.xmp, whole.damage) == (exif, xmp, None)
    cut = read_jpeg(START + segments + BASELINE + SCAN)
    assert (cut.exif, cut.xmp) == (exif, xmp)


# --- restart markers -------------------------------------------------------------------------------------------------

INTERVAL = segment(0xDD, b"\0\1")


def restarts(*numbers: int) -> bytes:
    """Return compressed data with these restart markers."""
    return PIXELS + b"".join(bytes((0xFF, 0xD0 + number)) + PIXELS for number in numbers)


@pytest.mark.parametrize(
    "data",
    [
        INTERVAL + SCAN,
        INTERVAL + SCAN + restarts(0),
        INTERVAL + SCAN + restarts(*range(8), *range(8), 0, 1),
        INTERVAL + SCAN + restarts(0, 1) + SCAN + restarts(0),
        segment(0xDD, b"\1\0") + SCAN + restarts(0),
        INTERVAL + SCAN + restarts(0).replace(b"\xff\xd0", b"\xff\xff\xff\xd0"),
        INTERVAL + SCAN + b"\xff\x00\xff\xd0" + PIXELS,
        INTERVAL + segment(0xDA) + b"X\xff\xd0" + PIXELS,
    ],
)
def test_restart_markers_in_sequence_are_taken(data: bytes) -> None:
    assert picture_of(START + PROGRESSIVE + data + END) == START + PROGRESSIVE + data + END


@pytest.mark.parametrize(
    "data",
    [
        SCAN + restarts(0),
        segment(0xDD, b"\0\0") + SCAN + restarts(0),
        INTERVAL + SCAN + restarts(1),
        INTERVAL + SCAN + restarts(0, 2),
        INTERVAL + SCAN + restarts(0, 0),
        INTERVAL + SCAN + restarts(*range(8), 1),
        INTERVAL + SCAN + restarts(0) + SCAN + restarts(1),
        INTERVAL + SCAN + restarts(0) + b"\xff\xd1\xff\xd2" + PIXELS,
        INTERVAL + SCAN + restarts(0) + b"\xff\xd1\xff\xff\xd2" + PIXELS,
        INTERVAL + segment(0xDA) + b"\xff\xd0" + PIXELS,
    ],
)
def test_restart_markers_out_of_sequence_are_damage(data: bytes) -> None:
    found = read_jpeg(START + PROGRESSIVE + data + END)
    assert found.damage == "its restart markers are not in sequence"
    assert found.picture.startswith(START + PROGRESSIVE + data)
