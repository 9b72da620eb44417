"""Reads the chunks of PNG files: what a picture consists of, and the data about its orientation.

Other ancillary chunks (text, colour profiles) are left out before the picture is decoded: they do not change the
pixels, and viewers show a picture whatever their size or their checksum is.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_METADATA: Final = 2**20
"""Bytes of a text that is searched for the orientation."""
_CRITICAL: Final = (b"IHDR", b"PLTE", b"IDAT")
"""Chunks with the pixels, in their order."""
_ANCILLARY: Final = 0x20
"""The bit of a name's first letter that is set if a picture can be shown without the chunk."""
_PALETTE: Final = 3
"""The colour type of pictures with a palette."""
INFLATE_STEP: Final = 2**18
"""Bytes of rows that are inflated at a time; so many fit into a processor's cache."""
_INPUT_STEP: Final = 2**14
"""Compressed bytes that are given at a time: what is left of them is copied after each step."""
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Values of a pixel, by colour type."""
_ONE_PASS: Final = ((0, 0, 1, 1),)
_SEVEN_PASSES: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row of each pass of an interlaced picture, and their distances."""


class DamagedPngError(ValueError):
    """A chunk that is part of the picture is damaged."""

    def __init__(self, message: str, size: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.size = size


@dataclass(frozen=True, slots=True)
class Png:
    """The parts of a PNG file."""

    picture: bytes
    """A PNG file with the same pixels and nothing else."""
    exif: bytes | None
    xmp: bytes | None


def read_png(data: bytes) -> Png:
    """Read the chunks of a PNG file.

    Raises:
        DamagedPngError: a part of the picture is missing or damaged.
    """
    critical: dict[bytes, list[bytes]] = {}
    metadata = _Metadata()
    for name, content, whole in _chunks(data):
        if name[0] & _ANCILLARY:
            if whole:
                metadata.read(name, content)
            continue
        if not whole:
            raise DamagedPngError(f"image file is truncated or damaged: checksum of {_text(name)}", _size(critical))
        if name not in _CRITICAL or (name != b"IDAT" and name in critical) or (name != b"IHDR" and not critical):
            raise DamagedPngError(f"unexpected chunk {_text(name)}", _size(critical))
        critical.setdefault(name, []).append(content)
    size = _size(critical)
    if b"IDAT" not in critical or not all(size):
        raise DamagedPngError("image file is truncated: no pixels", size)
    if critical[b"IHDR"][0][9] == _PALETTE and b"PLTE" not in critical:
        raise DamagedPngError("no palette", size)
    parts = (_chunk(name, b"".join(critical[name])) for name in _CRITICAL if name in critical)
    return Png(SIGNATURE + b"".join(parts) + _chunk(b"IEND", b""), metadata.exif, metadata.xmp)


def check_rows(picture: bytes) -> None:
    """Check that a picture of `read_png` has all its rows; Pillow leaves those black that are missing.

    Raises:
        DamagedPngError: rows are missing or cannot be inflated.
    """
    head, begin = picture[16:29], 41
    if picture[37:41] == b"PLTE":
        begin += 12 + int.from_bytes(picture[33:37])
    size, expected = struct.unpack_from(">II", head), _size_of_rows(head)
    try:
        found = _inflated_size(memoryview(picture)[begin:-16], expected)  # no copy of most of the file
    except zlib.error as error:
        raise DamagedPngError(f"rows: {error}", size) from error
    if found < expected:
        raise DamagedPngError(f"image file is truncated: {found} of {expected} bytes", size)


def _size_of_rows(head: bytes) -> int:
    """Return the bytes of all rows, each with the number of its filter."""
    width, height, bits, kind, interlaced = struct.unpack_from(">IIBBxxB", head)
    total = 0
    for left, top, across, down in _SEVEN_PASSES if interlaced else _ONE_PASS:
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits * _SAMPLES[kind] + 7) // 8)
    return total


def _inflated_size(compressed: memoryview, enough: int) -> int:
    """Return the size of inflated data, which are not kept; it may be larger if `enough` are found."""
    inflate = zlib.decompressobj()
    found = 0
    for begin in range(0, len(compressed), _INPUT_STEP):
        given: bytes | memoryview = compressed[begin : begin + _INPUT_STEP]
        step = INFLATE_STEP
        # If a step is full, more may follow even if all input is taken.
        while step == INFLATE_STEP and found < enough:
            step = len(inflate.decompress(given, INFLATE_STEP))
            found += step
            given = inflate.unconsumed_tail
        if inflate.eof or found >= enough:
            break
    return found


class _Metadata:
    """Collects the first EXIF data and the first XMP packet."""

    def __init__(self) -> None:
        self.exif: bytes | None = None
        self.xmp: bytes | None = None

    def read(self, name: bytes, content: bytes) -> None:
        """Read one ancillary chunk."""
        if name == b"eXIf":
            self.exif = self.exif or content
        elif name in (b"zTXt", b"iTXt", b"tEXt"):
            keyword, _, text = content.partition(b"\0")
            if keyword == b"XML:com.adobe.xmp" and name == b"iTXt":
                self.xmp = self.xmp or _international_text(text)
            elif keyword in (b"Raw profile type exif", b"Raw profile type APP1"):
                self.exif = self.exif or _raw_profile(text, compressed=name == b"zTXt")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the name and the content of each chunk before the last one, and True if its checksum is right."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        begin, position = position + 8, position + 12 + length
        if name == b"IEND":
            return
        content = data[begin : begin + length]
        checksum = struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
        yield name, content, data[begin + length : begin + length + 4] == checksum


def _size(critical: dict[bytes, list[bytes]]) -> tuple[int, int]:
    """Return width and height in pixels, 0 if they are not known."""
    head = critical.get(b"IHDR", [b""])[0]
    if len(head) != 13:
        return (0, 0)
    width, height = struct.unpack_from(">II", head)
    return width, height


def _text(name: bytes) -> str:
    return repr(name.decode("latin-1"))


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(name))
    return b"".join((struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)))


def _international_text(rest: bytes) -> bytes | None:
    """Return the text of an iTXt chunk, without its keyword; None if it is damaged or too large."""
    compressed = rest[:1] == b"\1"
    parts = rest[2:].split(b"\0", 2)  # language, translated keyword, text
    if len(parts) < 3:
        return None
    return _decompress(parts[2]) if compressed else parts[2][:MAX_METADATA]


def _raw_profile(text: bytes, *, compressed: bool) -> bytes | None:
    """Return the EXIF data that ImageMagick writes in hexadecimal digits after three lines."""
    if (plain := _decompress(text[1:]) if compressed else text[:MAX_METADATA]) is None:
        return None
    try:
        return bytes.fromhex("".join(plain.decode("latin-1").split("\n")[3:]))
    except ValueError:
        return None


def _decompress(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, MAX_METADATA)
    except zlib.error:
        return None
