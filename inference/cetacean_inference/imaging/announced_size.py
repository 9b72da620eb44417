"""Reads the size that the head of a picture's file announces, in a bounded number of steps and without decoding.

It is untrusted and only chooses where a picture is decoded; the decoder's process reads the size again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from cetacean_inference.imaging import png

MAX_SEGMENTS: Final = 64
"""Segments of a JPEG file that are searched; cameras write fewer before the size."""
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of segments with the size."""
_SHORT_BMP_HEAD: Final = 12


def announced_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None for other formats, for TIFF, and if the head does not contain them."""
    for signature, read in _READERS.items():
        if data.startswith(signature):
            try:
                return read(data)
            except struct.error:
                return None
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    position = 2
    for _ in range(MAX_SEGMENTS):
        mark, code, length = struct.unpack_from(">BBH", data, position)
        if mark != 0xFF:
            return None
        if code in _FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        position += 1 if code == 0xFF else 2 + length
    return None


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return (low_width | high_width << 16) + 1, (low_height | high_height << 16) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _bmp(data: bytes) -> tuple[int, int]:
    (head,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if head == _SHORT_BMP_HEAD else "<ii", data, 18)
    return width, abs(height)


_READERS: Final[Mapping[bytes, Callable[[bytes], tuple[int, int] | None]]] = {
    b"\xff\xd8": _jpeg,
    png.SIGNATURE: _png,
    b"RIFF": _webp,
    b"BM": _bmp,
}
