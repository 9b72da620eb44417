"""Reads the segments of JPEG files: the first picture without what is not part of it, and where its orientation is.

libjpeg completes a picture whose data are missing with grey instead of refusing it. Pillow refuses a file for damaged
metadata, which every viewer skips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MARKER: Final = re.compile(rb"\xff([\x01-\xfe])")
"""In compressed data 0xff is followed by 0. A pattern that begins with one certain byte is found twenty times faster
than one that begins with `\\xff+`."""
START, END, SCAN, INTERVAL, TEMPORARY, _METADATA = 0xD8, 0xD9, 0xDA, 0xDD, 0x01, 0xE1
RESTARTS: Final = range(0xD0, 0xD8)
SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
_ARITHMETIC: Final = frozenset({0xC9, 0xCA})
_LEFT_OUT: Final = frozenset(range(0xE1, 0xF0)) - {0xEE} | {0xFE}
"""Data of applications, and comments. The others, of JFIF (0xe0) and of Adobe (0xee), say what the colours are."""
_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
PADDING: Final = bytes(16)
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
    scans, libjpeg reads all before it returns pixels, and needs the end marker. `jpeg_scans` checks sequential ones.
    """
    kept: list[bytes] = []
    exif: list[bytes] = []
    xmp = None
    damage = "it is truncated, without an end marker"
    begin, position, scans, sequential, interval, restarts = 0, 0, 0, False, 0, 0
    # Segments are skipped, because they may contain other pictures.
    while marker := MARKER.search(data, position):
        before, position = position, marker.end()
        code = marker[1][0]
        if code in RESTARTS:
            # A marker may follow fill bytes.
            empty = not data[before : marker.start()].rstrip(b"\xff")
            if empty or not interval or code != RESTARTS[restarts % len(RESTARTS)]:
                damage = "its restart markers are not in sequence"
                break
            restarts += 1
            continue
        if code == END:
            whole = b"".join((*kept, data[begin : marker.start()])).rstrip(b"\xff")
            picture = whole + PADDING if sequential and scans == 1 else whole + b"\xff\xd9"
            return Jpeg(picture, b"".join(exif) or None, xmp)
        if code in (START, TEMPORARY):
            continue
        content, position = position + 2, position + int.from_bytes(data[position : position + 2])
        if code == _METADATA:
            if data.startswith(_EXIF, content):
                exif.append(data[content + len(_EXIF) : position])
            elif data.startswith(_XMP, content):
                xmp = data[content + len(_XMP) : position]
        elif code == INTERVAL:
            interval = int.from_bytes(data[content : content + 2])
        elif code in _ARITHMETIC:
            damage = "expected Huffman codes, got arithmetic ones, which never show that data are missing"
            break
        elif code == SCAN:
            scans, restarts = scans + 1, 0
        if code in _LEFT_OUT:
            kept.append(data[begin : marker.start()])
            begin = position
        sequential |= code in SEQUENTIAL
    return Jpeg(b"".join((*kept, data[begin:])), b"".join(exif) or None, xmp, damage)
