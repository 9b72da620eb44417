"""Makes a picture of each scan of a sequential JPEG that has several: libjpeg says only of one scan if it is whole.

Of several scans it reads all before it returns pixels, and completes one that ends early with grey or with the colours
of another. So each scan becomes a file of its own, without an end marker: Pillow then asks for bytes that are missing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cetacean_inference.imaging.jpeg import (
    END,
    INTERVAL,
    MARKER,
    PADDING,
    RESTARTS,
    SCAN,
    SEQUENTIAL,
    START,
    TEMPORARY,
)

_QUANTISATION, _HUFFMAN = 0xDB, 0xC4
_TABLES: Final = frozenset({_QUANTISATION, _HUFFMAN, INTERVAL})
_BLOCK: Final = 8
_MAX_SIDE: Final = 65_500
"""Of libjpeg."""
_DECODABLE: Final = frozenset({1, 3, 4})
"""Numbers of components that Pillow takes."""


class DamagedScansError(Exception):
    """The scans do not make a whole picture, or cannot be checked; one line says why."""


@dataclass(frozen=True, slots=True)
class _Component:
    number: int
    horizontal: int
    """Sampling factors."""
    vertical: int
    quantisation: int


@dataclass(frozen=True, slots=True)
class _Frame:
    code: int
    width: int
    height: int
    components: dict[int, _Component]

    @property
    def largest_horizontal(self) -> int:
        return max(one.horizontal for one in self.components.values())

    @property
    def largest_vertical(self) -> int:
        return max(one.vertical for one in self.components.values())


def scan_pictures(picture: bytes) -> tuple[bytes, ...]:
    """Return a file of one scan for each scan of a sequential JPEG; none if it has one scan, or is progressive.

    Args:
        picture: see `jpeg.Jpeg.picture`.

    Raises:
        DamagedScansError: a scan is missing, comes twice, or cannot be checked.
    """
    tables: list[bytes] = []
    made: list[bytes] = []
    frame, interval, position = None, 0, 0
    missing: set[int] = set()
    try:
        while marker := MARKER.search(picture, position):
            position, code = marker.end(), marker[1][0]
            if code in RESTARTS or code in (START, TEMPORARY):
                continue
            if code == END:
                break
            content, position = position + 2, position + int.from_bytes(picture[position : position + 2])
            if code in SEQUENTIAL:
                frame = _read_frame(code, picture[content:position])
                missing = set(frame.components)
            elif code in _TABLES:
                tables.append(picture[marker.start() : position])
                if code == INTERVAL:
                    interval = int.from_bytes(picture[content:position])
            elif code == SCAN:
                if frame is None:
                    return ()
                selected = _read_scan(picture[content:position])
                if missing == set(frame.components) == set(selected):
                    return ()
                if not missing.issuperset(selected):
                    raise DamagedScansError("a part of its colours is in two scans")
                missing.difference_update(selected)
                end = _end_of_scan(picture, position)
                head = _head(frame, selected, interval)
                made.append(b"".join((b"\xff\xd8", *tables, head, picture[position:end], PADDING)))
                position = end
    except (struct.error, KeyError, ValueError) as error:
        raise DamagedScansError("its frame or a scan has a damaged head") from error
    if missing:
        raise DamagedScansError("it is truncated, without all of its scans")
    return tuple(made)


def _read_frame(code: int, content: bytes) -> _Frame:
    _, height, width, count = struct.unpack_from(">BHHB", content)
    components = {}
    for n in range(count):
        number, sampling, quantisation = struct.unpack_from(">BBB", content, 6 + 3 * n)
        horizontal, vertical = divmod(sampling, 16)
        if not (1 <= horizontal <= 4 and 1 <= vertical <= 4):
            raise ValueError("expected sampling factors of 1 to 4")
        components[number] = _Component(number, horizontal, vertical, quantisation)
    if not components or not width or not height:
        raise ValueError("expected a frame with pixels")
    return _Frame(code, width, height, components)


def _read_scan(content: bytes) -> dict[int, int]:
    """Return the numbers of the Huffman tables by component."""
    if len(content) != 1 + 2 * content[0] + 3:
        raise ValueError("expected a scan with its components")
    return dict(zip(content[1 : 1 + 2 * content[0] : 2], content[2 : 2 + 2 * content[0] : 2], strict=True))


def _end_of_scan(picture: bytes, position: int) -> int:
    while marker := MARKER.search(picture, position):
        if marker[1][0] not in RESTARTS:
            return marker.start()
        position = marker.end()
    return len(picture)


def _head(frame: _Frame, selected: dict[int, int], interval: int) -> bytes:
    """Return the head of a frame and of its only scan, which has these components and as many blocks.

    Raises:
        DamagedScansError: there is no such frame.
    """
    components = [frame.components[number] for number in selected]
    tables = list(selected.values())
    if len(components) == 1:
        # Such a scan has only the blocks that contain pixels.
        (one,) = components
        size = (
            _divide_up(frame.width * one.horizontal, frame.largest_horizontal),
            _divide_up(frame.height * one.vertical, frame.largest_vertical),
        )
        return _headers(frame.code, size, [_Component(one.number, 1, 1, one.quantisation)], tables)
    across = _divide_up(frame.width, _BLOCK * frame.largest_horizontal)
    down = _divide_up(frame.height, _BLOCK * frame.largest_vertical)
    if len(components) in _DECODABLE:
        widest, highest = max(one.horizontal for one in components), max(one.vertical for one in components)
        # One pixel into the last unit: rounded up, the frame might be larger than libjpeg takes.
        size = (1 + _BLOCK * widest * (across - 1), 1 + _BLOCK * highest * (down - 1))
        return _headers(frame.code, size, components, tables)
    # Pillow takes no two components. If they share their tables, their blocks read as those of one.
    blocks = sum(one.horizontal * one.vertical for one in components)
    size = (_BLOCK * across * blocks, _BLOCK * down)
    if len(set(tables)) > 1 or size[0] > _MAX_SIDE or interval * blocks > 0xFFFF:
        raise DamagedScansError("it has a scan of two colours that cannot be checked")
    merged = [_Component(components[0].number, 1, 1, components[0].quantisation)]
    restarts = struct.pack(">BBHH", 0xFF, INTERVAL, 4, interval * blocks) if interval else b""
    return restarts + _headers(frame.code, size, merged, tables[:1])


def _headers(code: int, size: tuple[int, int], components: Sequence[_Component], tables: Sequence[int]) -> bytes:
    width, height = size
    frame = struct.pack(">BHHB", _BLOCK, height, width, len(components)) + b"".join(
        struct.pack(">BBB", one.number, one.horizontal * 16 + one.vertical, one.quantisation) for one in components
    )
    selected = b"".join(struct.pack(">BB", one.number, table) for one, table in zip(components, tables, strict=True))
    scan = bytes((len(components),)) + selected + bytes((0, 63, 0))
    return b"".join(
        struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content
        for marker, content in ((code, frame), (SCAN, scan))
    )


def _divide_up(value: int, by: int) -> int:
    return -(-value // by)
