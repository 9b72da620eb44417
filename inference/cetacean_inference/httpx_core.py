"""Requests of httpx as those of httpcore, and errors the other way, for transports that use httpcore themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpcore
import httpx


def core_request(request: httpx.Request) -> httpcore.Request:
    """Return the request that httpcore sends for one of httpx."""
    return httpcore.Request(
        request.method,
        str(request.url),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


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
