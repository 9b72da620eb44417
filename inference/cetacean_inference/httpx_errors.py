"""Errors of httpcore as those of httpx, for transports that use httpcore themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx


@contextlib.contextmanager
def as_httpx_errors() -> Iterator[None]:
    """Raise an error of httpcore as the one of the same name that httpx has."""
    try:
        yield
    except Exception as error:
        kind = getattr(httpx, type(error).__name__, None)
        if type(error).__module__.startswith("httpcore") and isinstance(kind, type):
            raise kind(str(error)) from error
        raise
