"""Pictures that all differ: a comparison takes each picture once only."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from PIL import Image


def distinct(
    pictures: Sequence[Path], folder: Path, *, change: Callable[[Image.Image], Image.Image] = lambda picture: picture
) -> Iterator[Path]:
    """Yield files that all differ, by a comment: a picture is compared once only.

    Args:
        pictures: JPEG files.
        folder: for the files.
        change: of each picture.
    """
    for number in count():
        source = pictures[number % len(pictures)]
        with Image.open(source) as picture:
            written = io.BytesIO()
            change(picture.convert("RGB")).save(written, "JPEG", quality=95, comment=f"number {number}".encode())
        file = folder / f"{number}-{source.name}"
        file.write_bytes(written.getvalue())
        yield file
