"""Reads TIFF directories, which TIFF files and EXIF data consist of, and from them the orientation.

Pillow stops reading EXIF data at the first tag that is damaged; every viewer reads the others.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Container, Iterator
from typing import Final, TypeVar

ORIENTATION: Final = 0x0112
SUB_DIRECTORIES: Final = 330
MAX_DIRECTORIES: Final = 64
MAX_VALUES: Final = 64
"""Values that are read of one tag."""
MAX_LONG_VALUES: Final = 2**18
"""Values that are read of a tag whose values are all needed; a picture of 64 million pixels has so many small tiles."""
_CLASSIC, _BIG = 42, 43
"""Versions of the format: TIFF with offsets of 4 bytes, and BigTIFF with offsets of 8."""
_FORMATS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Unsigned integers, by the number of their type."""
_OPAQUE: Final = 7
"""The type of bytes whose meaning only a tag's reader knows."""
_DAMAGED: Final = (struct.error, OverflowError)
"""Raised for an offset outside of the file; the second one if no file can be so long."""
_XMP_ORIENTATION: Final = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])""")

D = TypeVar("D", int, None)

Directory = dict[int, tuple[int, ...]]
"""The tags of one directory whose values are unsigned integers; the values of other tags are empty."""


def first_value(directory: Directory, tag: int, default: D) -> int | D:
    """Return the first value of a tag, `default` if it has none."""
    return next(iter(directory.get(tag, ())), default)


def read_directories(data: bytes, *, long: Container[int] = (), once: bool = False) -> Iterator[Directory]:
    """Yield the directories of a TIFF file, each followed by its subdirectories; ends at the first damage.

    Args:
        data: the file.
        long: tags of which up to MAX_LONG_VALUES are read, and opaque bytes too.
        once: a tag that is there twice has no values; else the first entry counts.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    seen: set[int] = set()
    try:
        (version,) = struct.unpack_from(f"{order}H", data, 2)
        if version not in (_CLASSIC, _BIG):
            return
        big = version == _BIG
        waiting = list(struct.unpack_from(f"{order}Q", data, 8) if big else struct.unpack_from(f"{order}I", data, 4))
        while waiting and len(seen) < MAX_DIRECTORIES:
            if (offset := waiting.pop(0)) in seen or offset == 0:
                continue
            seen.add(offset)
            directory, following = _read_directory(data, offset, order=order, big=big, long=long, once=once)
            yield directory
            waiting[:0] = directory.get(SUB_DIRECTORIES, ())
            waiting.append(following)
    except _DAMAGED:
        return


def _read_directory(
    data: bytes, offset: int, *, order: str, big: bool, long: Container[int], once: bool
) -> tuple[Directory, int]:
    """Return a directory and the offset of the next one, 0 if the file ends before that."""
    count_format, entry_format, link_format = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    (count,) = struct.unpack_from(order + count_format, data, offset)
    entry = struct.Struct(order + entry_format)
    begin = offset + struct.calcsize(order + count_format)
    directory: Directory = {}
    for position in range(begin, min(begin + count * entry.size, len(data) - entry.size + 1), entry.size):
        tag, kind, number, inline = entry.unpack_from(data, position)
        if tag not in directory:
            letter = "B" if kind == _OPAQUE and tag in long else _FORMATS.get(kind)
            most = MAX_LONG_VALUES if tag in long else MAX_VALUES
            layout = f"{order}{min(number, most)}{letter}"
            directory[tag] = _values(data, number, inline, layout, link_format=order + link_format) if letter else ()
        elif once:
            directory[tag] = ()
    try:
        return directory, struct.unpack_from(order + link_format, data, begin + count * entry.size)[0]
    except _DAMAGED:
        return directory, 0


def _values(data: bytes, number: int, inline: bytes, layout: str, *, link_format: str) -> tuple[int, ...]:
    if struct.calcsize(layout[0] + layout[-1]) * number <= len(inline):
        return struct.unpack_from(layout, inline)
    try:
        return struct.unpack_from(layout, data, struct.unpack(link_format, inline)[0])
    except _DAMAGED:
        return ()


def read_orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """Return the orientation, 1 to 8; 1 if there is none.

    Args:
        exif: EXIF data, with or without its prefix; preferred.
        xmp: an XMP packet.
    """
    directory = next(read_directories((exif or b"").removeprefix(b"Exif\0\0")), Directory())
    values = directory.get(ORIENTATION)
    if values and 1 <= values[0] <= 8:
        return values[0]
    found = _XMP_ORIENTATION.search(xmp or b"")
    return int(found[1]) if found else 1
