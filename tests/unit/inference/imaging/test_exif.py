"""TIFF directories, which EXIF data consists of too: both byte orders, both versions, damage, and loops."""

from __future__ import annotations

import struct

import pytest
from support.tiff import BYTE, IFD, LONG, SHORT, UNDEFINED, Directory, Entry, tiff

from cetacean_inference.imaging.exif import (
    MAX_DIRECTORIES,
    MAX_LONG_VALUES,
    MAX_VALUES,
    ORIENTATION,
    SUB_DIRECTORIES,
    read_directories,
    read_orientation,
)

ASCII, LONG8, IFD8 = 2, 16, 18
WIDTH, BITS = 256, 258
UPRIGHT = Directory([Entry(ORIENTATION, SHORT, (6,))])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_the_tags_with_unsigned_integers_are_read(order: str, *, big: bool) -> None:
    wide = [Entry(50001, LONG8, (2**40,)), Entry(50002, IFD8, (7, 8))] if big else []
    entries = [
        Entry(WIDTH, LONG, (70_000,)),
        Entry(BITS, SHORT, (8, 9, 10)),
        Entry(700, BYTE, (1, 2, 3, 4)),
        Entry(701, BYTE, (1, 2, 3, 4, 5, 6, 7, 8, 9)),
        Entry(702, SHORT, (1, 2)),
        Entry(703, IFD, (5,)),
        *wide,
    ]
    data = tiff([Directory(entries)], order=order, big=big)
    assert list(read_directories(data)) == [{entry.tag: entry.values for entry in entries}]


def test_a_tag_of_another_type_has_no_values() -> None:
    data = tiff([Directory([Entry(270, ASCII, (65, 66)), *UPRIGHT.entries])])
    assert list(read_directories(data)) == [{270: (), ORIENTATION: (6,)}]


def test_values_outside_of_the_file_are_none_and_others_are_read() -> None:
    entries = [Entry(BITS, SHORT, (8, 8, 8), at=10_000), *UPRIGHT.entries]
    assert list(read_directories(tiff([Directory(entries)]))) == [{BITS: (), ORIENTATION: (6,)}]


def test_values_at_an_offset_beyond_two_gigabytes_are_none() -> None:
    entries = [Entry(BITS, SHORT, (8, 8, 8), at=2**32 - 6), *UPRIGHT.entries]
    assert list(read_directories(tiff([Directory(entries)]))) == [{BITS: (), ORIENTATION: (6,)}]


@pytest.mark.parametrize("place", [2**31, 2**63, 2**64 - 10])
def test_offsets_and_counts_of_any_size_end_a_big_file(place: int) -> None:
    entries = [Entry(BITS, SHORT, (8, 8, 8, 8, 8), at=place), *UPRIGHT.entries]
    found = [{BITS: (), ORIENTATION: (6,)}]
    assert list(read_directories(tiff([Directory(entries, following=place)], big=True))) == found
    counted = next(read_directories(tiff([Directory(entries, count=place)], big=True)))
    assert found[0].items() <= counted.items()
    assert list(read_directories(tiff([UPRIGHT], big=True)[:8] + struct.pack("<Q", place) + bytes(100))) == []


def test_so_many_values_are_read_of_one_tag() -> None:
    entries = [Entry(BITS, SHORT, tuple(range(MAX_VALUES + 1))), Entry(WIDTH, SHORT, ())]
    assert list(read_directories(tiff([Directory(entries)]))) == [{BITS: tuple(range(MAX_VALUES)), WIDTH: ()}]


def test_all_values_are_read_of_the_tags_that_need_them() -> None:
    many, opaque = tuple(range(MAX_VALUES + 1)), Entry(347, UNDEFINED, (1, 2, 3, 4, 5))
    data = tiff([Directory([Entry(BITS, SHORT, many), Entry(WIDTH, SHORT, many), opaque])])
    assert list(read_directories(data, long=(WIDTH, 347))) == [{BITS: many[:-1], WIDTH: many, 347: (1, 2, 3, 4, 5)}]
    assert list(read_directories(data)) == [{BITS: many[:-1], WIDTH: many[:-1], 347: ()}]
    more = tiff([Directory([Entry(WIDTH, BYTE, (1,) * (MAX_LONG_VALUES + 1))])])
    assert next(read_directories(more, long=(WIDTH,))) == {WIDTH: (1,) * MAX_LONG_VALUES}


def test_the_first_of_two_entries_counts() -> None:
    entries = [Entry(ORIENTATION, SHORT, (6,)), Entry(ORIENTATION, SHORT, (3,))]
    assert list(read_directories(tiff([Directory(entries)]))) == [{ORIENTATION: (6,)}]


@pytest.mark.parametrize("big", [False, True])
def test_subdirectories_come_before_the_next_directory(*, big: bool) -> None:
    def named(number: int, *inner: Directory) -> Directory:
        return Directory([Entry(WIDTH, LONG, (number,))], subdirectories=inner)

    data = tiff([named(1, named(2, named(3)), named(4)), named(5)], big=big)
    found = list(read_directories(data))
    assert [directory[WIDTH] for directory in found] == [(1,), (2,), (3,), (4,), (5,)]
    assert [len(directory.get(SUB_DIRECTORIES, ())) for directory in found] == [2, 1, 0, 0, 0]


def test_a_directory_that_leads_back_is_read_once() -> None:
    own = Entry(SUB_DIRECTORIES, IFD, (8,))
    data = tiff([Directory([own]), Directory([Entry(ORIENTATION, SHORT, (3,))], following=8)])
    assert list(read_directories(data)) == [{SUB_DIRECTORIES: (8,)}, {ORIENTATION: (3,)}]


def test_so_many_directories_are_read() -> None:
    data = tiff([UPRIGHT] * (MAX_DIRECTORIES + 1))
    assert len(list(read_directories(data))) == MAX_DIRECTORIES


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("count", [1, 2, 60_000])
def test_the_tags_before_the_end_of_a_file_are_read(count: int, *, big: bool) -> None:
    whole = tiff([Directory([*UPRIGHT.entries, Entry(WIDTH, LONG, (9,))], count=count)], big=big)
    expected = {ORIENTATION: (6,), WIDTH: (9,)} if count > 1 else {ORIENTATION: (6,)}
    link = 8 if big else 4
    assert list(read_directories(whole[:-link])) == [expected]
    assert list(read_directories(whole[: -link - 1])) == [{ORIENTATION: (6,)}]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II",
        b"II*\0\x08\0\0",
        b"II*\0\x08\0\0\0",
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0",
        b"IM" + tiff([UPRIGHT])[2:],
        b"II\x29\0" + tiff([UPRIGHT])[4:],
        b"II\x2c\0" + tiff([UPRIGHT], big=True)[4:],
        b"II*\0\0\0\0\0" + tiff([UPRIGHT])[8:],
    ],
    ids=["empty", "order", "short", "header", "short big header", "order", "version 41", "version 44", "no directory"],
)
def test_what_is_no_tiff_file_has_no_directories(data: bytes) -> None:
    assert list(read_directories(data)) == []


@pytest.mark.parametrize("orientation", [1, 6, 8])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_the_orientation_of_exif_data_is_preferred(orientation: int, prefix: bytes) -> None:
    exif = prefix + tiff([Directory([Entry(ORIENTATION, SHORT, (orientation,))])])
    assert read_orientation(exif, b'<x tiff:Orientation="3"/>') == orientation


@pytest.mark.parametrize(
    ("exif", "xmp", "orientation"),
    [
        (None, None, 1),
        (b"", b"", 1),
        (tiff([Directory([Entry(WIDTH, SHORT, (6,))])]), b"tiff:Orientation='8'", 8),
        (tiff([Directory([Entry(ORIENTATION, SHORT, (0,))])]), b"tiff:Orientation='8'", 8),
        (tiff([Directory([Entry(ORIENTATION, SHORT, (9,))])]), b'tiff:Orientation = "1"', 1),
        (None, b"<tiff:Orientation>6</tiff:Orientation>", 6),
        (None, b"<tiff:Orientation> 5 </tiff:Orientation>", 5),
        (None, b'tiff:Orientation="9"', 1),
        (None, b'tiff:Orientation="0"', 1),
    ],
)
def test_the_orientation_is_read_from_xmp_if_exif_has_none(
    exif: bytes | None, xmp: bytes | None, orientation: int
) -> None:
    assert read_orientation(exif, xmp) == orientation
