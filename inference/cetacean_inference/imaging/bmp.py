"""Checks BMP files for what Pillow decodes to another picture than viewers show."""

from __future__ import annotations

from typing import Final

_OLD_HEAD: Final = 12
"""Bytes of the head that says nothing about compression."""
_RUNS_OF_FOUR_BITS: Final = 2


class UnsupportedBmpError(ValueError):
    """The picture is of a kind that is decoded wrongly."""


def check_bmp(data: bytes) -> None:
    """Check the head of a BMP file.

    Raises:
        UnsupportedBmpError: the picture is of a kind that is decoded wrongly.
    """
    head, compression = (int.from_bytes(data[place : place + 4], "little") for place in (14, 30))
    # Pillow loses the last of an odd number of such pixels, and takes it for the next run.
    if head != _OLD_HEAD and compression == _RUNS_OF_FOUR_BITS:
        raise UnsupportedBmpError("expected pixels, or runs of pixels of 8 bits, got those of 4 bits")
