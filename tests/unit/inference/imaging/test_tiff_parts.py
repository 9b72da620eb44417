"""The strips and tiles of TIFF files: all must be there, and whole."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.pictures import encoded
from support.tiff import LONG, UNDEFINED, Directory, Entry, tiff

from cetacean_inference.imaging.tiff import UnsupportedTiffError
from cetacean_inference.imaging.tiff_parts import DamagedTiffError, check_parts

WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, PLANES, JPEG_TABLES = 256, 257, 258, 259, 277, 284, 347
STRIP_OFFSETS, STRIP_ROWS, STRIP_BYTES = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
NONE, OLD_JPEG, JPEG, DEFLATE = 1, 6, 7, 8
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


def file(
    parts: Sequence[bytes],
    *,
    offsets: Callable[[int], int] = lambda offset: offset,
    sizes: Sequence[int] | None = None,
    tables: bytes = b"",
    **tags: Sequence[int],
) -> bytes:
    """Return a file of 5x4 pixels with these strips, or tiles if `tags` has their size; `tags` are named by numbers."""
    tiled = f"_{TILE_WIDTH}" in tags
    numbers: dict[int, Sequence[int]] = {WIDTH: (5,), HEIGHT: (4,), BITS: (8,)}
    numbers |= {int(name[1:]): values for name, values in tags.items()}
    places = [0] * len(parts)
    for _ in range(2):  # the length of the directory shows the places
        numbers |= {TILE_OFFSETS if tiled else STRIP_OFFSETS: [offsets(place) for place in places]}
        numbers |= {TILE_BYTES if tiled else STRIP_BYTES: [len(part) for part in parts] if sizes is None else sizes}
        entries = [Entry(tag, LONG, tuple(values)) for tag, values in sorted(numbers.items())]
        head = tiff([Directory([*entries, *([Entry(JPEG_TABLES, UNDEFINED, tuple(tables))] if tables else [])])])
        places = [len(head) + sum(map(len, parts[:index])) for index in range(len(parts))]
    return head + b"".join(parts)


def strips(*sizes: int) -> list[bytes]:
    return [bytes(size) for size in sizes]


def refusal(data: bytes) -> str:
    with pytest.raises(DamagedTiffError) as raised:
        check_parts(data)
    return str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        file(strips(20)),
        file(strips(20), _278=(4,)),
        file(strips(20), _278=(2**32 - 1,)),
        file(strips(20), _278=(9,)),
        file(strips(10, 10), _278=(2,)),
        file(strips(15, 5), _278=(3,)),
        file(strips(15, 15), _278=(3,)),
        file(strips(4), _258=(1,)),
        file(strips(40), _258=(16,)),
        file(strips(60), _258=(8, 8, 8), _277=(3,)),
        file(strips(60), _258=(8,), _277=(3,)),
        file(strips(60), _258=(8, 8, 8, 8), _277=(3,)),
        file(strips(4), _258=()),
        file(strips(32), _258=(8, 4), _277=(2,)),
        file(strips(20), _284=(2,)),
        file(strips(20, 20, 20), _258=(8, 8, 8), _277=(3,), _284=(2,)),
        file(strips(15, 5) * 3, _258=(8, 8, 8), _277=(3,), _284=(2,), _278=(3,)),
        file(strips(*(256,) * 1), _322=(16,), _323=(16,)),
        file(strips(*(8,) * 4), _322=(4,), _323=(2,)),
        file(strips(*(8,) * 12), _322=(4,), _323=(2,), _258=(8, 8, 8), _277=(3,), _284=(2,)),
        file(strips(1, 1), _278=(2,), _259=(DEFLATE,)),
        *(file(strips(1), _259=(compression,)) for compression in (5, 8, 32773, 32946, 34925, 50000)),
    ],
)
def test_all_parts_are_there(data: bytes) -> None:
    check_parts(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (file(strips(10), _278=(2,)), "expected 2 strips or tiles, got 1 offsets and 1 sizes"),
        (file(strips(10, 10, 10), _278=(2,)), "expected 2 strips or tiles, got 3 offsets and 3 sizes"),
        (file(strips(10, 10), sizes=(10,), _278=(2,)), "expected 2 strips or tiles, got 2 offsets and 1 sizes"),
        (file(strips(20), sizes=()), "expected 1 strips or tiles, got 1 offsets and 0 sizes"),
        (file([]), "expected 1 strips or tiles, got 0 offsets and 0 sizes"),
        (
            file(strips(20), _258=(8, 8, 8), _277=(3,), _284=(2,)),
            "expected 3 strips or tiles, got 1 offsets and 1 sizes",
        ),
        (file(strips(8, 8, 8), _322=(4,), _323=(2,)), "expected 4 strips or tiles, got 3 offsets and 3 sizes"),
        (file(strips(20), _278=(0,)), "expected strips or tiles with a size, got none"),
        (file(strips(8), _322=(0,), _323=(2,)), "expected strips or tiles with a size, got none"),
        (file(strips(8), _322=(4,)), "expected strips or tiles with a size, got none"),
        (file(strips(20), _325=(20,)), "expected strips or tiles, got both"),
        (file(strips(10, 9, 10), _278=(2,), _257=(6,)), "expected 10 bytes or more in strip or tile 1, got 9"),
        (file(strips(15, 4), _278=(3,)), "expected 5 bytes or more in strip or tile 1, got 4"),
        (file(strips(8, 8, 8, 7), _322=(4,), _323=(2,)), "expected 8 bytes or more in strip or tile 3, got 7"),
        (file(strips(12, 12, 12, 11), _322=(4,), _323=(3,)), "expected 12 bytes or more in strip or tile 3, got 11"),
        (tiff([Directory([])]), "expected strips or tiles with a size, got none"),
        (b"", "expected strips or tiles with a size, got none"),
        (file(strips(3), _258=(1,)), "expected 4 bytes or more in strip or tile 0, got 3"),
        (file(strips(59), _258=(8,), _277=(3,)), "expected 60 bytes or more in strip or tile 0, got 59"),
        (file(strips(1, 0), _278=(2,), _259=(DEFLATE,)), "expected 1 bytes or more in strip or tile 1, got 0"),
    ],
)
def test_a_part_that_is_missing_or_too_small_is_an_error(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_a_part_may_not_end_after_the_file() -> None:
    ends = "image file is truncated: strip or tile 0 ends after the file"
    check_parts(file(strips(20), sizes=(25,)))
    assert refusal(file(strips(20), sizes=(25,))[:-1]) == ends
    assert refusal(file(strips(20), offsets=lambda offset: offset + 1)) == ends
    assert refusal(file(strips(20), sizes=(21,), _259=(DEFLATE,))) == ends


def test_thousands_of_parts_are_checked() -> None:
    rows = strips(*(5,) * 3000)
    check_parts(file(rows, _257=(3000,), _278=(1,)))
    assert "in strip or tile 2999" in refusal(file([*rows[:-1], b"1234"], _257=(3000,), _278=(1,)))


@pytest.mark.parametrize("compression", [2, 3, 4, OLD_JPEG, 32771, 32809, 34676, 34677, 50001, 9999])
def test_a_compression_whose_damage_is_not_noticed_is_refused(compression: int) -> None:
    with pytest.raises(UnsupportedTiffError, match=f"^expected no compression, LZW, .*, got number {compression}$"):
        check_parts(file(strips(20), _259=(compression,)))


# --- JPEG compression ------------------------------------------------------------------------------------------------


def jpegs(*rows: int, width: int = 64) -> list[bytes]:
    """Return strips of so many rows."""
    return [encoded(NOISE.crop((0, 0, width, high)), "JPEG", quality=95) for high in rows]


def in_jpeg(parts: Sequence[bytes], *, tables: bytes = b"", **tags: Sequence[int]) -> bytes:
    size: dict[str, Any] = {
        "_256": (64,),
        "_257": (48,),
        "_278": (16,),
        "_258": (8, 8, 8),
        "_277": (3,),
        "_259": (JPEG,),
    }
    return file(parts, tables=tables, **(size | tags))


@pytest.mark.parametrize(
    "data",
    [
        in_jpeg(jpegs(16, 16, 16)),
        in_jpeg(jpegs(16, 16, 8), _257=(40,)),
        in_jpeg(jpegs(16, 16, 16), _257=(40,)),
        in_jpeg(jpegs(48), _278=(2**32 - 1,)),
        in_jpeg([encoded(NOISE, "JPEG", progressive=True)], _278=(48,)),
    ],
)
def test_whole_parts_in_jpeg_are_taken(data: bytes) -> None:
    check_parts(data)


def test_parts_in_jpeg_may_have_their_tables_in_the_directory() -> None:
    whole = jpegs(48)[0]
    frame, (begin, end) = whole.index(b"\xff\xc0"), (whole.index(b"\xff\xdb"), whole.index(b"\xff\xda"))
    (length,) = struct.unpack_from(">H", whole, frame + 2)
    tables = whole[:2] + whole[begin:frame] + whole[frame + 2 + length : end] + b"\xff\xd9"
    part = whole[:2] + whole[frame : frame + 2 + length] + whole[end:]
    check_parts(in_jpeg([part], tables=tables, _278=(48,)))
    with pytest.raises(OSError, match="truncated"):
        check_parts(in_jpeg([part[:-100] + b"\xff\xd9"], tables=tables, _278=(48,)))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_part_in_jpeg_that_is_cut_is_an_error(index: int) -> None:
    parts = jpegs(16, 16, 16)
    whole = parts[index]
    parts[index] = whole[:-200]
    assert refusal(in_jpeg(parts)) == f"JPEG of strip or tile {index}: it is truncated, without an end marker"
    parts[index] = whole[:-200] + b"\xff\xd9"
    with pytest.raises(OSError, match="truncated"):
        check_parts(in_jpeg(parts))


def test_a_part_in_another_format_is_an_error() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        check_parts(in_jpeg([encoded(Image.new("RGB", (64, 48)), "BMP") + b"\xff\xd9"], _278=(48,)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (jpegs(16, 15, 16), "expected 64x16 pixels in strip or tile 1, got 64x15"),
        (jpegs(16, 17, 16), "expected 64x16 pixels in strip or tile 1, got 64x17"),
        (jpegs(16, 16, 16, width=63), "expected 64x16 pixels in strip or tile 0, got 63x16"),
    ],
)
def test_a_part_in_jpeg_of_another_size_is_an_error(parts: list[bytes], message: str) -> None:
    assert refusal(in_jpeg(parts)) == message


def test_parts_in_jpeg_that_overlap_are_an_error() -> None:
    first = jpegs(16)[0]
    data = file([first, b"", b""], sizes=(len(first),) * 3, _256=(64,), _257=(48,), _278=(16,), _259=(JPEG,), _277=(3,))
    assert refusal(data + bytes(len(first))) == "expected strips or tiles beside each other, got some that overlap"
