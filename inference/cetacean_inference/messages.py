"""One-line messages about errors of other packages."""

from __future__ import annotations

import re
from typing import Final

from cetacean_registry.messages import without_controls

_ANSI_SEQUENCE: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


def one_line(error: BaseException, *, limit: int = 200) -> str:
    """The error's message on one line of at most `limit` characters; its class name if it has no message."""
    return printable(str(error))[:limit] or type(error).__name__


def reason_of(error: Exception) -> str:
    """The system's reason for an error of a file, without its path; any other error's message."""
    return (isinstance(error, OSError) and error.strerror) or one_line(error)


def with_type(error: BaseException, *, limit: int = 500) -> str:
    """`Type: message` on one line."""
    return f"{type(error).__name__}: {printable(str(error))[:limit]}"


def printable(text: str) -> str:
    """Return the text on one line, without the colours and other control codes of a terminal."""
    return without_controls(" ".join(_ANSI_SEQUENCE.sub("", text).split()))
