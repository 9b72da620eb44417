"""A file of the cache, named by its digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Blob:
    """A file in the cache and the URL it came from, as messages may show it: without a query."""

    url: str
    sha256: str
    path: Path


def digest_of(stream: BufferedReader | BytesIO) -> str:
    """Return the SHA-256 of the rest of a stream, as 64 hex digits."""
    return hashlib.file_digest(stream, "sha256").hexdigest()
