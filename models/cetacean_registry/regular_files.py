"""Files whose paths come from people or from a registry: only regular ones are read, and small ones as a whole."""

from __future__ import annotations

import contextlib
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Final

from cetacean_registry.errors import RegistryError

LARGEST_FILE: Final = 16 * 2**20
"""Bytes of a file that is read as a whole; a registry of a thousand models has one million."""


def resolve_path(path: Path) -> Path:
    """Return the absolute path without links; the file need not exist.

    Raises:
        RegistryError: links lead in a circle, or the path has a null character.
    """
    try:
        # Since Python 3.13 `resolve` leaves links in a circle as they are.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.stat()
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise RegistryError(f"{path}: cannot be found: {error}") from error


def open_regular_file(path: Path) -> BufferedReader:
    """Open a regular file for reading. A pipe could wait without an end, and a device never ends.

    Raises:
        OSError: the file cannot be opened, or is no regular file.
    """
    try:
        # Else the opening of a pipe waits for a writer.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except ValueError as error:  # the path has a null character
        raise OSError(f"expected a path, got {str(path)!r}") from error
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError("expected a regular file")
    return os.fdopen(opened, "rb")


def read_regular_file(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        OSError: the file cannot be read, is no regular file, or has more than `LARGEST_FILE` bytes.
    """
    with open_regular_file(path) as stream:
        content = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(f"expected at most {LARGEST_FILE} bytes, got more")
    return content
