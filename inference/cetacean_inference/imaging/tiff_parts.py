"""Checks the strips or tiles of a TIFF file: that all are there, and whole.

Pillow reads parts without compression wherever the next ones begin, and leaves those black that are missing. libtiff
completes parts in JPEG and in fax compressions with grey or white.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from cetacean_inference.imaging.exif import Directory, first_value, read_directories
from cetacean_inference.imaging.jpeg import read_jpeg
from cetacean_inference.imaging.tiff import (
    BITS,
    COMPRESSION,
    HEIGHT,
    PLANES,
    SEPARATE,
    UNCOMPRESSED,
    WIDTH,
    UnsupportedTiffError,
)

_SAMPLES, _JPEG_TABLES = 277, 347
_STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_LONG: Final = frozenset({_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES, _JPEG_TABLES})
_JPEG: Final = 7
_CHECKED_COMPRESSIONS: Final = frozenset({5, 8, 32_773, 32_946, 34_925, 50_000})
"""LZW, Deflate (two numbers), PackBits, LZMA and Zstandard: libtiff refuses a part that is not whole."""
_END: Final = b"\xff\xd9"
_SMALLEST: Final = (1, 1)


class DamagedTiffError(ValueError):
    """A strip or a tile is missing or not whole."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a picture is cut into parts."""

    width: int
    """Of a part, in pixels."""
    height: int
    parts: tuple[tuple[int, int, int], ...]
    """The rows that each has at least, its offset and its bytes; the last strip may have fewer rows than `height`."""


def check_parts(data: bytes) -> None:
    """Check the strips or tiles of the first picture of a TIFF file.

    Raises:
        UnsupportedTiffError: their compression is not one of which it is noticed that a part is not whole.
        DamagedTiffError: one is missing, has fewer bytes than it needs, or ends after the file.
        OSError: one in JPEG compression is not whole.
    """
    directory = next(read_directories(data, long=_LONG), Directory())
    compression = first_value(directory, COMPRESSION, 1)
    if compression not in (UNCOMPRESSED, _JPEG, *_CHECKED_COMPRESSIONS):
        raise UnsupportedTiffError(
            f"expected no compression, LZW, Deflate, PackBits, JPEG, LZMA or Zstandard, got number {compression}"
        )
    layout = _read_layout(directory)
    bits = _bits_of_pixel(directory)
    for index, (rows, offset, size) in enumerate(layout.parts):
        needed = rows * ((layout.width * bits + 7) // 8) if compression == UNCOMPRESSED else 1
        if size < needed:
            raise DamagedTiffError(f"expected {needed} bytes or more in strip or tile {index}, got {size}")
        # Without compression, bytes after the last row may be missing.
        if offset + (needed if compression == UNCOMPRESSED else size) > len(data):
            raise DamagedTiffError(f"image file is truncated: strip or tile {index} ends after the file")
    if compression == _JPEG:
        _check_jpeg(data, layout, bytes(directory.get(_JPEG_TABLES, ())))


def _read_layout(directory: Directory) -> _Layout:
    width, height = (first_value(directory, tag, 0) for tag in (WIDTH, HEIGHT))
    planes = first_value(directory, _SAMPLES, 1) if first_value(directory, PLANES, 1) == SEPARATE else 1
    tiled = not directory.keys().isdisjoint({_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES})
    if tiled and _STRIP_OFFSETS in directory:
        raise DamagedTiffError("expected strips or tiles, got both")
    if tiled:
        part_width, part_height = (first_value(directory, tag, 0) for tag in (_TILE_WIDTH, _TILE_HEIGHT))
        offsets, sizes = (directory.get(tag, ()) for tag in (_TILE_OFFSETS, _TILE_BYTES))
    else:
        part_width, part_height = width, min(first_value(directory, _STRIP_ROWS, height), height)
        offsets, sizes = (directory.get(tag, ()) for tag in (_STRIP_OFFSETS, _STRIP_BYTES))
    if not (part_width and part_height):
        raise DamagedTiffError("expected strips or tiles with a size, got none")
    down, across = -(-height // part_height), -(-width // part_width)
    # Before a number is written for each part: those of a damaged file would fill the memory.
    if not planes * down * across == len(offsets) == len(sizes):
        raise DamagedTiffError(
            f"expected {planes * down * across} strips or tiles, got {len(offsets)} offsets and {len(sizes)} sizes"
        )
    last = part_height if tiled else height - part_height * (down - 1)
    plane = (part_height,) * (down - 1) * across + (last,) * across
    return _Layout(part_width, part_height, tuple(zip(plane * planes, offsets, sizes, strict=True)))


def _bits_of_pixel(directory: Directory) -> int:
    """Return the bits that a pixel has in one part."""
    bits, samples = directory.get(BITS) or (1,), first_value(directory, _SAMPLES, 1)
    if first_value(directory, PLANES, 1) == SEPARATE:
        return max(bits)
    return sum(bits[:samples]) if len(bits) > 1 else bits[0] * samples


def _check_jpeg(data: bytes, layout: _Layout, tables: bytes) -> None:
    # Parts that overlap would be read again and again.
    if sum(size for _, _, size in layout.parts) > len(data):
        raise DamagedTiffError("expected strips or tiles beside each other, got some that overlap")
    head = tables.removesuffix(_END)
    for index, (rows, offset, size) in enumerate(layout.parts):
        part = data[offset : offset + size]
        jpeg = read_jpeg(head + part[2:] if head else part)
        if jpeg.damage is not None:
            raise DamagedTiffError(f"JPEG of strip or tile {index}: {jpeg.damage}")
        with Image.open(io.BytesIO(jpeg.picture), formats=("JPEG",)) as image:
            if image.width != layout.width or not rows <= image.height <= layout.height:
                raise DamagedTiffError(
                    f"expected {layout.width}x{rows} pixels in strip or tile {index}, got {image.width}x{image.height}"
                )
            image.draft(None, _SMALLEST)  # an eighth of the size takes less than half of the time
            image.load()
