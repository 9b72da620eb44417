"""A file of the cache, named by its digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

CHUNK: Final = 2**20
"""Bytes that are read at once."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file in the cache and the URL it came from."""

    url: str
    sha256: str
    path: Path


def digest_of(stream: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of a stream, as 64 hex digits."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
