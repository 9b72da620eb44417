"""Reads the chunks of PNG files: what a picture consists of, and the data about its orientation.

Other ancillary chunks (text, colour profiles) are left out before the picture is decoded: they do not change the
pixels, and viewers show a picture whatever their size or their checksum is.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_METADATA: Final = 2**20
"""Bytes of a text that is searched for the orientation."""
_PALETTE: Final = 3
"""The colour type of pictures with a palette."""


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
    head = palette = b""
    pixels: list[bytes] = []
    exif: bytes | None = None
    xmp: bytes | None = None
    size = (0, 0)
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        begin, position = position + 8, position + 12 + length
        if name == b"IEND":
            break
        content = data[begin : begin + length]
        whole = data[begin + length : begin + length + 4] == struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
        if name[0] & 0x20:
            if whole and name == b"eXIf":
                exif = exif or content
            elif whole and name in (b"zTXt", b"iTXt", b"tEXt"):
                keyword, _, text = content.partition(b"\0")
                if keyword == b"XML:com.adobe.xmp" and name == b"iTXt":
                    xmp = xmp or _international_text(text)
                elif keyword in (b"Raw profile type exif", b"Raw profile type APP1"):
                    exif = exif or _raw_profile(text, compressed=name == b"zTXt")
            continue
        if not whole:
            raise DamagedPngError(f"image file is truncated or damaged: checksum of {name.decode('latin-1')!r}", size)
        if name == b"IHDR" and not head and length == 13:
            head = content
            size = struct.unpack_from(">II", content)
        elif name == b"IDAT" and head:
            pixels.append(content)
        elif name == b"PLTE" and head and not pixels:
            palette = content
        else:
            raise DamagedPngError(f"unexpected chunk {name.decode('latin-1')!r}", size)
    if not pixels:
        raise DamagedPngError("image file is truncated: no pixels", size)
    if head[9] == _PALETTE and not palette:
        raise DamagedPngError("no palette", size)
    parts = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", b"".join(pixels)))
    picture = SIGNATURE + b"".join(_chunk(name, content) for name, content in parts if content) + _chunk(b"IEND", b"")
    return Png(picture, exif, xmp)


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
    plain = _decompress(text[1:]) if compressed else text[:MAX_METADATA]
    try:
        return bytes.fromhex("".join((plain or b"").decode("latin-1").split("\n")[3:]))
    except ValueError:
        return None


def _decompress(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, MAX_METADATA)
    except zlib.error:
        return None
