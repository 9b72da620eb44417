"""SHA-256 over files and over data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 lower-case hex digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_digest(data: object) -> str:
    """Return the SHA-256 of JSON-like data, the same whatever the order of its keys.

    Raises:
        ValueError: the data holds a NaN or an infinity.
        TypeError: the data holds what JSON cannot say.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
