"""Writes baseline JPEG files whose components come in any number of scans; each block of 8x8 pixels has one value."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

END: Final = b"\xff\xd9"
_DC_CODES: Final = ("00", "010", "011", "100", "101", "110", "1110", "11110")
"""By the number of bits of a difference."""
_END_OF_BLOCK: Final = "0"
_STEP: Final = 8
"""The quantised value 1 is one step of a block's mean."""


@dataclass(frozen=True, slots=True)
class ScansJpeg:
    """The parts of a file."""

    head: bytes
    scans: tuple[bytes, ...]
    """Each with its own head."""

    @property
    def whole(self) -> bytes:
        """The file."""
        return self.head + b"".join(self.scans) + END

    def with_scan(self, number: int, scan: bytes) -> bytes:
        """Return the file with another scan in the place of one of its own."""
        return self.head + b"".join((*self.scans[:number], scan, *self.scans[number + 1 :])) + END


def scans_jpeg(
    script: Sequence[Sequence[int]],
    *,
    size: tuple[int, int] = (200, 152),
    sampling: Sequence[tuple[int, int]] = ((1, 1), (1, 1), (1, 1)),
    interval: int = 0,
    tables: Sequence[int] | None = None,
) -> ScansJpeg:
    """Make a file of random blocks.

    Args:
        script: the components of each scan.
        size: width and height.
        sampling: horizontal and vertical factors of each component.
        interval: units between two restart markers, 0 for none.
        tables: number of the Huffman tables of each component; all are alike.
    """
    width, height = size
    number = random.Random(7)
    used = [0] * len(sampling) if tables is None else tables
    codes = bytes((0, 1, 5, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)) + bytes(range(8))
    huffman = b"".join(
        _segment(0xC4, bytes((one,)) + codes) + _segment(0xC4, bytes((0x10 + one,)) + bytes((1, *[0] * 15)) + b"\0")
        for one in sorted(set(used))
    )
    frame = struct.pack(">BHHB", 8, height, width, len(sampling)) + b"".join(
        bytes((n + 1, h * 16 + v, 0)) for n, (h, v) in enumerate(sampling)
    )
    restarts = _segment(0xDD, struct.pack(">H", interval)) if interval else b""
    head = b"\xff\xd8" + _segment(0xDB, bytes((0, *[_STEP] * 64))) + _segment(0xC0, frame) + huffman + restarts
    across, down = (max(one[axis] for one in sampling) for axis in (0, 1))

    def scan(components: Sequence[int]) -> bytes:
        selected = b"".join(bytes((n + 1, used[n] * 0x11)) for n in components)
        blocks = [sampling[n][0] * sampling[n][1] for n in components]
        units = _divide_up(width, 8 * across) * _divide_up(height, 8 * down)
        if len(components) == 1:
            h, v = sampling[components[0]]
            blocks, units = [1], _divide_up(width * h, 8 * across) * _divide_up(height * v, 8 * down)
        data = _data(number, units, blocks, interval)
        return _segment(0xDA, bytes((len(components),)) + selected + b"\0\x3f\0") + data

    return ScansJpeg(head, tuple(scan(components) for components in script))


def _data(number: random.Random, units: int, blocks: Sequence[int], interval: int) -> bytes:
    """Return compressed units with so many blocks of each component."""
    data, bits, last = bytearray(), "", [0] * len(blocks)
    for unit in range(units):
        if interval and unit and unit % interval == 0:
            data += _packed(bits) + bytes((0xFF, 0xD0 + (unit // interval - 1) % 8))
            bits, last = "", [0] * len(blocks)
        for component, count in enumerate(blocks):
            for _ in range(count):
                value = number.randint(-60, 60)
                difference, last[component] = value - last[component], value
                length = abs(difference).bit_length()
                coded = difference if difference > 0 else difference + 2**length - 1
                bits += _DC_CODES[length] + (f"{coded:0{length}b}" if length else "") + _END_OF_BLOCK
    return bytes(data) + _packed(bits)


def _packed(bits: str) -> bytes:
    padded = bits + "1" * (-len(bits) % 8)
    return bytes(int(padded[n : n + 8], 2) for n in range(0, len(padded), 8)).replace(b"\xff", b"\xff\0")


def _segment(code: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, 2 + len(content)) + content


def _divide_up(value: int, by: int) -> int:
    return -(-value // by)
