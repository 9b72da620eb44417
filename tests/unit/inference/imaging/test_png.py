"""The chunks of PNG files: the picture without what is not part of it, and where its orientation is read."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from cetacean_inference.imaging.png import MAX_METADATA, SIGNATURE, DamagedPngError, read_png

EXIF, XMP = b"Exif\0\0II*\0", b"<x:xmpmeta/>"
WIDTH, HEIGHT = 3, 2


def chunk(name: bytes, content: bytes = b"", *, damaged: bool = False) -> bytes:
    checksum = zlib.crc32(name + content) ^ damaged
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def head(*, kind: int = 0, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))


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
