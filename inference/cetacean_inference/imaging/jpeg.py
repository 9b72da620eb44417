"""Reads the markers of JPEG files: libjpeg completes a truncated picture with grey instead of refusing it."""

from __future__ import annotations

import re
import struct
from typing import Final

_MARKER: Final = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""A marker other than a restart; in compressed data 0xff is followed by 0 or a restart."""
_START, _END, _TEMPORARY = 0xD8, 0xD9, 0x01


def has_end_marker(data: bytes) -> bool:
    """True if the picture ends with a marker after its last scan; segments that contain other pictures are skipped."""
    position = 0
    while marker := _MARKER.search(data, position):
        position = marker.end()
        code = marker[1][0]
        if code == _END:
            return True
        if code not in (_START, _TEMPORARY):
            if position + 2 > len(data):
                return False
            position += struct.unpack_from(">H", data, position)[0]
    return False
