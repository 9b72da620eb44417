"""The chunks of PNG files: the picture without what is not part of it, and where its orientation is read."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import pytest
from PIL import Image

from cetacean_inference.imaging.png import INFLATE_STEP, MAX_METADATA, SIGNATURE, DamagedPngError, check_rows, read_png

EXIF, XMP = b"Exif\0\0II*\0", b"<x:xmpmeta/>"
WIDTH, HEIGHT = 3, 2


def chunk(name: bytes, content: bytes = b"", *, damaged: bool = False) -> bytes:
    checksum = zlib.crc32(name + content) ^ damaged
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def head(*, kind: int = 0, width: int = WIDTH, height: int = HEIGHT, bits: int = 8, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))


HEAD, PALETTE, END = head(), chunk(b"PLTE", bytes(6)), chunk(b"IEND")
COMPRESSED = zlib.compress(bytes((1 + WIDTH) * HEIGHT))
DATA = chunk(b"IDAT", COMPRESSED)
PLAIN = SIGNATURE + HEAD + DATA + END
PROFILE = b"\nexif\n      10\n" + EXIF.hex().encode()[:10] + b"\n" + EXIF.hex().encode()[10:]
"""As ImageMagick writes EXIF data: three lines, then hexadecimal digits in several lines."""


def test_the_picture_keeps_its_pixels_and_nothing_else() -> None:
    split = chunk(b"IDAT", COMPRESSED[:3]) + chunk(b"IDAT") + chunk(b"IDAT", COMPRESSED[3:])
    more = chunk(b"iCCP", b"x", damaged=True) + chunk(b"tEXt", b"Comment\0" + bytes(100)) + chunk(b"pHYs", bytes(9))
    found = read_png(SIGNATURE + HEAD + more + split + more + END + b"after the end")
    assert (found.picture, found.exif, found.xmp) == (PLAIN, None, None)
    with Image.open(io.BytesIO(found.picture)) as picture:
        picture.load()
        assert picture.size == (WIDTH, HEIGHT)


def test_a_picture_with_a_palette_keeps_it() -> None:
    data = SIGNATURE + head(kind=3) + PALETTE + DATA
    assert read_png(data + END).picture == data + END
    assert read_png(SIGNATURE + HEAD + DATA + PALETTE + END).picture == SIGNATURE + HEAD + PALETTE + DATA + END


@pytest.mark.parametrize("cut", [0, 1, 11, 12])
def test_the_end_may_be_missing(cut: int) -> None:
    assert read_png(PLAIN[: len(PLAIN) - cut]).picture == PLAIN


def test_a_chunk_of_which_only_the_name_is_left_is_damaged() -> None:
    with pytest.raises(DamagedPngError, match=r"checksum of 'IDAT'$"):
        read_png(SIGNATURE + HEAD + DATA + chunk(b"IDAT")[:8])
    assert read_png(SIGNATURE + HEAD + DATA + chunk(b"IDAT")[:7]).picture == PLAIN


def test_a_chunk_that_is_longer_than_the_file_ends_it() -> None:
    long = struct.pack(">I", 2**32 - 16)
    assert read_png(SIGNATURE + HEAD + DATA + long + b"tEXt" + bytes(100)).picture == PLAIN
    with pytest.raises(DamagedPngError, match=r"checksum of 'IDAT'$"):
        read_png(SIGNATURE + HEAD + DATA + long + b"IDAT" + bytes(100))


@pytest.mark.parametrize(
    ("chunks", "message", "size"),
    [
        (HEAD + chunk(b"IDAT", b"x", damaged=True), "truncated or damaged: checksum of 'IDAT'", (WIDTH, HEIGHT)),
        (HEAD + DATA[:-1], "truncated or damaged: checksum of 'IDAT'", (WIDTH, HEIGHT)),
        (chunk(b"IHDR", bytes(13), damaged=True), "truncated or damaged: checksum of 'IHDR'", (0, 0)),
        (chunk(b"\xc9DAT", b"x", damaged=True), "truncated or damaged: checksum of 'ÉDAT'", (0, 0)),
        (HEAD + chunk(b"ABCD") + DATA, "unexpected chunk 'ABCD'", (WIDTH, HEIGHT)),
        (HEAD + HEAD + DATA, "unexpected chunk 'IHDR'", (WIDTH, HEIGHT)),
        (head(kind=3) + PALETTE + PALETTE + DATA, "unexpected chunk 'PLTE'", (WIDTH, HEIGHT)),
        (PALETTE + HEAD + DATA, "unexpected chunk 'PLTE'", (0, 0)),
        (DATA + HEAD, "unexpected chunk 'IDAT'", (0, 0)),
        (HEAD, "image file is truncated: no pixels", (WIDTH, HEIGHT)),
        (b"", "image file is truncated: no pixels", (0, 0)),
        (head(width=0) + DATA, "image file is truncated: no pixels", (0, HEIGHT)),
        (head(width=2**31), "image file is truncated: no pixels", (2**31, HEIGHT)),
        (head(height=0) + DATA, "image file is truncated: no pixels", (WIDTH, 0)),
        (chunk(b"IHDR", bytes(12)) + DATA, "image file is truncated: no pixels", (0, 0)),
        (chunk(b"IHDR", b"\1" * 14) + DATA, "image file is truncated: no pixels", (0, 0)),
        (head(kind=3) + DATA, "no palette", (WIDTH, HEIGHT)),
    ],
)
def test_a_damaged_picture_is_an_error_with_its_size(chunks: bytes, message: str, size: tuple[int, int]) -> None:
    with pytest.raises(DamagedPngError, match=f"{message}$") as raised:
        read_png(SIGNATURE + chunks + END)
    assert raised.value.size == size


def international(keyword: bytes, text: bytes, *, compressed: bool = False) -> bytes:
    return keyword + b"\0" + bytes((compressed, 0)) + b"en\0key\0" + text


@pytest.mark.parametrize(
    ("ancillary", "exif", "xmp"),
    [
        (chunk(b"eXIf", EXIF), EXIF, None),
        (chunk(b"eXIf", EXIF) + chunk(b"eXIf", b"other"), EXIF, None),
        (chunk(b"eXIf", b"other", damaged=True) + chunk(b"eXIf", EXIF), EXIF, None),
        (chunk(b"tEXt", b"Raw profile type exif\0" + PROFILE), EXIF, None),
        (chunk(b"tEXt", b"Raw profile type APP1\0" + PROFILE) + chunk(b"eXIf", b"other"), EXIF, None),
        (chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE)), EXIF, None),
        (chunk(b"eXIf", EXIF) + chunk(b"tEXt", b"Raw profile type exif\0" + PROFILE[:-2]), EXIF, None),
        (chunk(b"zTXt", b"Raw profile type exif\0\0" + PROFILE), None, None),
        (chunk(b"tEXt", b"Raw profile type exif\0" + PROFILE + b"x"), None, None),
        (chunk(b"tEXt", b"Raw profile type iptc\0" + PROFILE), None, None),
        (chunk(b"teXt", b"Raw profile type exif\0" + PROFILE), None, None),
        (chunk(b"iTXt", international(b"XML:com.adobe.xmp", XMP)), None, XMP),
        (chunk(b"iTXt", international(b"XML:com.adobe.xmp", zlib.compress(XMP), compressed=True)), None, XMP),
        (chunk(b"iTXt", international(b"XML:com.adobe.xmp", XMP, compressed=True)), None, None),
        (chunk(b"iTXt", international(b"XML:com.adobe.xmp", XMP + b"\0x")), None, XMP + b"\0x"),
        (chunk(b"iTXt", international(b"XML:com.adobe.xmp", XMP)) * 2, None, XMP),
        (
            chunk(b"iTXt", international(b"XML:com.adobe.xmp", XMP))
            + chunk(b"iTXt", international(b"XML:com.adobe.xmp", b"other")),
            None,
            XMP,
        ),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0en\0key"), None, None),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), None, XMP),
        (chunk(b"iTXt", international(b"Title", XMP)), None, None),
        (chunk(b"tEXt", b"XML:com.adobe.xmp\0" + XMP), None, None),
    ],
)
def test_the_first_readable_data_about_the_orientation_count(
    ancillary: bytes, exif: bytes | None, xmp: bytes | None
) -> None:
    found = read_png(SIGNATURE + HEAD + ancillary + DATA + END)
    assert (found.exif, found.xmp) == (exif, xmp)


def test_so_much_text_is_searched_and_not_more_is_unpacked() -> None:
    keyword, long = b"XML:com.adobe.xmp", bytes(2 * MAX_METADATA)
    for text, compressed in ((long, False), (zlib.compress(long), True)):
        ancillary = chunk(b"iTXt", international(keyword, text, compressed=compressed))
        assert read_png(SIGNATURE + HEAD + ancillary + DATA).xmp == long[:MAX_METADATA]
    profile = b"\n\n\n" + b"0" * (2 * MAX_METADATA)
    found = read_png(SIGNATURE + HEAD + chunk(b"tEXt", b"Raw profile type exif\0" + profile + b"x") + DATA)
    assert found.exif is None  # an odd number of digits is left
    found = read_png(SIGNATURE + HEAD + chunk(b"tEXt", b"Raw profile type exif\0\n" + profile + b"x") + DATA)
    assert found.exif == bytes(MAX_METADATA // 2 - 2)


def rows(compressed: bytes, **options: int) -> bytes:
    """Return the picture that is decoded of a file with these compressed rows."""
    palette = PALETTE if options.get("kind") == 3 else b""
    return read_png(SIGNATURE + head(**options) + palette + chunk(b"IDAT", compressed) + END).picture


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 2 * (1 + 3)),
        ({"bits": 1}, 2 * (1 + 1)),
        ({"bits": 1, "width": 9}, 2 * (1 + 2)),
        ({"bits": 2, "width": 5}, 2 * (1 + 2)),
        ({"bits": 4, "width": 16}, 2 * (1 + 8)),
        ({"bits": 16}, 2 * (1 + 6)),
        ({"kind": 2}, 2 * (1 + 9)),
        ({"kind": 2, "bits": 16}, 2 * (1 + 18)),
        ({"kind": 3}, 2 * (1 + 3)),
        ({"kind": 3, "bits": 4}, 2 * (1 + 2)),
        ({"kind": 4}, 2 * (1 + 6)),
        ({"kind": 6}, 2 * (1 + 12)),
        ({"kind": 6, "bits": 16}, 2 * (1 + 24)),
        ({"interlaced": 1, "width": 1, "height": 1}, 1 + 1),
        ({"interlaced": 1, "width": 8, "height": 8, "kind": 2}, 4 + 4 + 7 + 14 + 26 + 52 + 100),
        ({"interlaced": 1, "width": 5, "height": 5, "bits": 1}, 2 + 2 + 2 + 4 + 2 + 6 + 4),
        ({"width": 2000, "height": 2000, "kind": 2}, 2000 * 6001),
    ],
)
def test_all_rows_must_be_there(options: dict[str, int], size: int) -> None:
    check_rows(rows(zlib.compress(bytes(size)), **options))
    check_rows(rows(zlib.compress(bytes(size + 1)), **options))
    for short, ended in ((size - 1, True), (0, True), (size - 1, False)):
        whole = zlib.compress(bytes(short))
        with pytest.raises(DamagedPngError, match=rf"^image file is truncated: {short} of {size} bytes$") as raised:
            check_rows(rows(whole if ended else whole[:-4], **options))
        assert raised.value.size == (options.get("width", WIDTH), options.get("height", HEIGHT))


@pytest.mark.parametrize("kind", [2, 3])
def test_the_rows_are_found_behind_a_palette(kind: int) -> None:
    palette = chunk(b"PLTE", b"IDAT" + bytes(5))
    full, empty = (chunk(b"IDAT", zlib.compress(bytes(size))) for size in (20, 0))
    check_rows(read_png(SIGNATURE + head(kind=kind) + palette + full).picture)
    with pytest.raises(DamagedPngError, match=r"truncated: 0 of"):
        check_rows(read_png(SIGNATURE + head(kind=kind) + palette + empty).picture)


def test_rows_that_cannot_be_inflated_are_damaged() -> None:
    with pytest.raises(DamagedPngError, match=r"^rows: .*incorrect header check$") as raised:
        check_rows(rows(b"no zlib stream"))
    assert raised.value.size == (WIDTH, HEIGHT)
    for content in (b"no zlib stream", COMPRESSED):
        with pytest.raises(DamagedPngError) as raised:
            check_rows(rows(content, width=2**31))
        assert raised.value.size == (2**31, HEIGHT)


def test_what_follows_the_rows_is_not_kept() -> None:
    with pytest.raises(DamagedPngError, match=r": 8 of 10 bytes$"):
        check_rows(rows(COMPRESSED + bytes(2**16), width=4))


def test_rows_are_inflated_in_steps_and_not_beyond_the_picture() -> None:
    packed = zlib.compress(bytes(64 * INFLATE_STEP))
    files = (rows(packed), rows(packed, width=2 * INFLATE_STEP, height=8), rows(COMPRESSED + bytes(2**22)))
    tracemalloc.start()
    for file in files:
        check_rows(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * INFLATE_STEP
