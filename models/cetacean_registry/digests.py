"""SHA-256 of files and of data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cetacean_registry.regular_files import open_regular_file


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file's bytes as 64 lower-case hex digits.

    Raises:
        OSError: the file cannot be read, or is no regular file.
    """
    with open_regular_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_digest(data: object) -> str:
    """Return the SHA-256 of JSON-like data; the order of keys does not matter.

    Raises:
        ValueError: the data has a NaN or an infinity.
        TypeError: the data has a value that JSON does not know.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
