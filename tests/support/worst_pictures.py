"""Small files that take a decoder long: every format that is taken, with its repeatable elements repeated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from PIL import Image

from support.pictures import encoded

START_OF_SCAN = b"\xff\xda"


def progressive_jpeg(side: int = 3000, scans: int = 3000) -> bytes:
    """Return a JPEG file whose last scan is repeated; each scan visits every block of the picture."""
    whole = encoded(Image.new("RGB", (side, side), (90, 120, 150)), "JPEG", progressive=True, quality=50)
    last = whole.rindex(START_OF_SCAN)
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def text_png(chunks: int = 400_000) -> bytes:
    """Return a PNG file with many text chunks."""
    whole = encoded(Image.new("RGB", (8, 8)), "PNG")
    name, content = b"tEXt", b"Comment\0a"
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return whole[:33] + chunk * chunks + whole[33:]


def empty_data_png(chunks: int = 1_500_000) -> bytes:
    """Return a PNG file with many empty IDAT chunks."""
    whole = encoded(Image.new("RGB", (8, 8)), "PNG")
    chunk = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return whole[:33] + chunk * chunks + whole[33:]


def run_length_bmp(width: int = 7000, height: int = 7000) -> bytes:
    """Return a BMP file of runs of two pixels, which Pillow decodes in Python."""
    rows = (b"\x02\x01" * (width // 2) + b"\0\0") * height
    palette = b"\0\0\0\0" * 256
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    offset = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + head + palette + rows[:20_000_000]


def strip_tiff(strips: int = 60_000) -> bytes:
    """Return a TIFF file in which every strip has one row."""
    rows = b"\x55" * 100
    count = 8
    values_at = 8 + 2 + count * 12 + 4
    pixels_at = values_at + strips * 8
    entries = [
        (256, 4, 1, 800),
        (257, 4, 1, strips),
        (258, 3, 1, 1),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, strips, values_at),
        (278, 4, 1, 1),
        (279, 4, strips, values_at + 4 * strips),
    ]
    directory = struct.pack("<H", count) + b"".join(struct.pack("<HHII", *one) for one in entries) + bytes(4)
    return (
        b"II*\0"
        + struct.pack("<I", 8)
        + directory
        + (struct.pack("<I", pixels_at) * strips + struct.pack("<I", len(rows)) * strips + rows)
    )


def webp_with_metadata(size: int = 20_000_000) -> bytes:
    """Return a WebP file with EXIF data and XMP of many bytes."""
    return encoded(Image.new("RGB", (64, 64)), "WEBP", exif=b"Exif\0\0II*\0" + bytes(size // 2), xmp=bytes(size // 2))


WORST: Final[Mapping[str, Callable[[], bytes]]] = {
    "JPEG": progressive_jpeg,
    "PNG with texts": text_png,
    "PNG with empty data": empty_data_png,
    "BMP": run_length_bmp,
    "TIFF": strip_tiff,
    "WEBP": webp_with_metadata,
}
