"""Picture files and archives of pictures."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
"""EXIF's tag for the orientation."""


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return an image as a file; `kind` is Pillow's name of the format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(
    *, score: float = 0.9, probability: float = 0.8, size: tuple[int, int] = (40, 30), kind: str = "PNG", **options: Any
) -> bytes:
    """Return a picture of one colour, from which `FakePipeline` reads a score and a probability, each to 1/255."""
    return encoded(Image.new("RGB", size, (round(score * 255), round(probability * 255), 0)), kind, **options)


def turned(image: Image.Image, kind: str, *, orientation: int = 6) -> bytes:
    """Return an image as a file with EXIF data that turns it; 6 is a quarter."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, kind, exif=exif)


def announced_png(width: int, height: int) -> bytes:
    """Return a PNG file whose header has the given size, with almost no data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def archive(entries: Iterable[tuple[str, bytes]], *, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as stream:
        for name, content in entries:
            stream.writestr(name, content)
    return buffer.getvalue()
