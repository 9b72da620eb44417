"""Reads the markers of JPEG files: libjpeg completes a truncated picture with grey instead of refusing it."""

from __future__ import annotations

import re
from typing import Final

_MARKER: Final = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""A marker other than a restart; in compressed data 0xff is followed by 0 or a restart. A pattern that begins with one
certain byte is found twenty times faster than one that begins with `\\xff+`."""
_START, _END, _SCAN, _TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
_PADDING: Final = bytes(16)
"""The decoder reads so many bytes more than the last block needs."""


def strict_jpeg(data: bytes) -> bytes | None:
    """Return the first picture of a file, so that Pillow notices if pixels are missing; None without an end marker.

    At an end marker that comes too early, libjpeg completes the picture silently. If the file ends before the marker,
    Pillow asks for more bytes as long as pixels are missing. That needs a picture of one sequential scan: of several
    scans, libjpeg reads all before it returns pixels, and needs the end marker.
    """
    position, scans, sequential = 0, 0, False
    # Segments are skipped, because they may contain other pictures.
    while marker := _MARKER.search(data, position):
        position = marker.end()
        code = marker[1][0]
        if code == _END:
            whole = data[: marker.start()].rstrip(b"\xff")  # a marker may follow fill bytes
            return whole + _PADDING if sequential and scans == 1 else whole + b"\xff\xd9"
        if code not in (_START, _TEMPORARY):
            position += int.from_bytes(data[position : position + 2])
        scans += code == _SCAN
        sequential |= code in _SEQUENTIAL
    return None
