"""One-line messages about errors of other packages."""

from __future__ import annotations


def one_line(error: BaseException, *, limit: int = 200) -> str:
    """The error's message on one line of at most `limit` characters; its class name if it has no message."""
    return " ".join(str(error).split())[:limit] or type(error).__name__


def with_type(error: BaseException, *, limit: int = 500) -> str:
    """`Type: message` on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:limit]}"
