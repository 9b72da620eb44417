"""Checks TIFF files for what Pillow decodes to another picture than viewers show."""

from __future__ import annotations

from math import prod
from typing import Final

from cetacean_inference.imaging.exif import ORIENTATION, Directory, first_value, read_directories

WIDTH, HEIGHT, BITS, COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, PLANES, _SAMPLE_FORMAT, _DNG_VERSION = 254, 255, 284, 339, 50706
_COLOUR_MAP: Final = 320
_READ: Final = (254, 255, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 322, 323, 324, 325, 339)
"""Tags that say how the picture is read, also those of `tiff_parts`."""
_REDUCED: Final = 1
_OLD_REDUCED: Final = 2
_RAW_PHOTOMETRICS: Final = frozenset({32803, 34892})
"""Colour filter array and linear raw: values of a sensor."""
_TAKEN_BITS: Final = frozenset({1, 2, 4, 8, 16, 32})
UNCOMPRESSED: Final = 1
_WHITE_IS_ZERO: Final = 0
_PALETTE: Final = 3
SEPARATE: Final = 2
_SIGNED: Final = 2


class UnsupportedTiffError(ValueError):
    """The file holds no picture of a kind that is taken, or only a preview of it."""


def check_tiff(data: bytes) -> None:
    """Check the first picture of a TIFF file.

    Raises:
        UnsupportedTiffError: the picture is a preview, a camera's raw data, or of a kind that is decoded wrongly.
    """
    directories = list(read_directories(data, once=True))
    if not directories:
        raise UnsupportedTiffError("no directory that can be read")
    first = directories[0]
    # Pillow also reads other types, and of two entries it may take the other: both would hide a tag from the checks.
    if unreadable := [tag for tag in _READ if first.get(tag) == ()]:
        raise UnsupportedTiffError(f"expected unsigned integers, once, in tag {unreadable[0]}")
    if _DNG_VERSION in first or data[8:10] == b"CR" or first_value(first, _PHOTOMETRIC, None) in _RAW_PHOTOMETRICS:
        raise UnsupportedTiffError("expected a developed picture, got a camera's raw file")
    if first_value(first, _SUBFILE_TYPE, 0) & _REDUCED or first_value(first, _OLD_SUBFILE_TYPE, None) == _OLD_REDUCED:
        raise UnsupportedTiffError("expected the whole picture first, got a preview as in a camera's raw file")
    if any(_area(other) > _area(first) for other in directories[1:]):
        raise UnsupportedTiffError("expected the largest picture first, got a preview before it")
    bits = first.get(BITS) or (1,)
    if not _TAKEN_BITS.issuperset(bits):
        raise UnsupportedTiffError(f"expected 1, 2, 4, 8, 16 or 32 bits a value, got {bits[0]}")
    if max(bits) >= 16 and len(bits) > 1 and first_value(first, PLANES, None) == SEPARATE:
        raise UnsupportedTiffError(f"expected planes of 8 bits or interleaved values, got planes of {max(bits)} bits")
    if _SIGNED in first.get(_SAMPLE_FORMAT, ()) and max(bits) <= 16:
        raise UnsupportedTiffError(f"expected unsigned values, got signed ones of {max(bits)} bits")
    if max(bits) == 32 and first_value(first, _PHOTOMETRIC, None) == _WHITE_IS_ZERO:
        raise UnsupportedTiffError("expected black as zero for values of 32 bits, got white as zero")
    if max(bits) == 32 and data[:2] == b"MM" and first_value(first, COMPRESSION, None) not in (None, UNCOMPRESSED):
        # libtiff returns values in the order of the machine, and Pillow swaps their bytes once more.
        raise UnsupportedTiffError("expected values of 32 bits without compression or with the lowest byte first")
    if first_value(first, _PHOTOMETRIC, None) == _PALETTE and _highest_of_palette(data) < 256:
        # Viewers take it for one of 8 bits. Pillow divides its values too, and all colours become black.
        raise UnsupportedTiffError("expected a palette with values of 16 bits, got none above 255")


def _highest_of_palette(data: bytes) -> int:
    return max(next(read_directories(data, long=(_COLOUR_MAP,), once=True)).get(_COLOUR_MAP, ()), default=0)


def is_inverted_sixteen_bit(data: bytes) -> bool:
    """True if white is zero and a value has 16 bits; Pillow inverts smaller values only."""
    first = next(read_directories(data), Directory())
    return first_value(first, _PHOTOMETRIC, None) == _WHITE_IS_ZERO and first.get(BITS) == (16,)


def read_tiff_orientation(data: bytes) -> int | None:
    """Return the orientation of the first picture, None if it has none that is valid."""
    orientation = first_value(next(read_directories(data), Directory()), ORIENTATION, None)
    return orientation if orientation and orientation <= 8 else None


def _area(directory: Directory) -> int:
    return prod(first_value(directory, tag, 0) for tag in (WIDTH, HEIGHT))
