"""Files that people name on the command line. A pipe is one too, as a shell passes `<(kubectl get … -o yaml)`."""

from __future__ import annotations

from pathlib import Path

from cetacean_cli.errors import BadInputError
from cetacean_registry.regular_files import LARGEST_FILE


def read_named_file(path: Path) -> str:
    """Return a file's text without the byte order mark; line ends stay as they are.

    Raises:
        BadInputError: the file cannot be read, is no UTF-8, or has more than `LARGEST_FILE` bytes.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise BadInputError(f"{path}: expected at most {LARGEST_FILE} bytes, got more")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error
