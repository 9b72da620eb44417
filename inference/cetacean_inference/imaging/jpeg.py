"""Reads the segments of JPEG files: the first picture without what is not part of it, and where its orientation is.

libjpeg completes a picture whose data are missing with grey instead of refusing it. Pillow refuses a file for damaged
metadata, which every viewer skips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_MARKER: Final = re.compile(rb"\xff([\x01-\xfe])")
"""In compressed data 0xff is followed by 0. A pattern that begins with one certain byte is found twenty times faster
than one that begins with `\\xff+`."""
_START, _END, _SCAN, _INTERVAL, _TEMPORARY, _METADATA = 0xD8, 0xD9, 0xDA, 0xDD, 0x01, 0xE1
_RESTARTS: Final = range(0xD0, 0xD8)
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
_LEFT_OUT: Final = frozenset(range(0xE1, 0xF0)) - {0xEE} | {0xFE}
"""Data of applications, and comments. The others, of JFIF (0xe0) and of Adobe (0xee), say what the colours are."""
_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_PADDING: Final = bytes(16)
"""The decoder reads so many bytes more than the last block needs."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """The parts of a JPEG file."""

    picture: bytes
    """The first picture, so that Pillow notices if pixels are missing."""
    exif: bytes | None
    xmp: bytes | None
    damage: str | None = None
    """Why the picture is not whole, None if nothing shows that."""


def read_jpeg(data: bytes) -> Jpeg:
    """Read the segments of the first picture of a JPEG file.

    At an end marker that comes too early, libjpeg completes the picture silently. If the file ends before the marker,
    Pillow asks for more bytes as long as pixels are missing. That needs a picture of one sequential scan: of several
    scans, libjpeg reads all before it returns pixels, and needs the end marker.
    """
    kept: list[bytes] = []
    exif: list[bytes] = []
    xmp = None
    damage = "it is truncated, without an end marker"
    begin, position, scans, sequential, interval, restarts = 0, 0, 0, False, 0, 0
    # Segments are skipped, because they may contain other pictures.
    while marker := _MARKER.search(data, position):
        before, position = position, marker.end()
        code = marker[1][0]
        if code in _RESTARTS:
            # A marker may follow fill bytes.
            empty = not data[before : marker.start()].rstrip(b"\xff")
            if empty or not interval or code != _RESTARTS[restarts % len(_RESTARTS)]:
                damage = "its restart markers are not in sequence"
                break
            restarts += 1
            continue
        if code == _END:
            whole = b"".join((*kept, data[begin : marker.start()])).rstrip(b"\xff")
            picture = whole + _PADDING if sequential and scans == 1 else whole + b"\xff\xd9"
            return Jpeg(picture, b"".join(exif) or None, xmp)
        if code in (_START, _TEMPORARY):
            continue
        content, position = position + 2, position + int.from_bytes(data[position : position + 2])
        if code == _METADATA:
            if data.startswith(_EXIF, content):
                exif.append(data[content + len(_EXIF) : position])
            elif data.startswith(_XMP, content):
                xmp = data[content + len(_XMP) : position]
        elif code == _INTERVAL:
            interval = int.from_bytes(data[content : content + 2])
        elif code == _SCAN:
            scans, restarts = scans + 1, 0
        if code in _LEFT_OUT:
            kept.append(data[begin : marker.start()])
            begin = position
        sequential |= code in _SEQUENTIAL
    return Jpeg(b"".join((*kept, data[begin:])), b"".join(exif) or None, xmp, damage)
