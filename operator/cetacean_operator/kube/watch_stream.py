"""A watch as it comes over the wire: whole lines out of chunks of bytes, and events out of lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.json_reader import (
    UnreadableError,
    UnreadableObject,
    is_version,
    name_of,
    object_of_event,
    parse_object,
)
from cetacean_registry.messages import one_line

CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})
CHUNK_BYTES = 1 << 20
LONGEST_LINE = 32 << 20
"""Bytes of one event; etcd stores 1.5 MB for each object."""


class Body(Protocol):
    """The body of an answer."""

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Yield at most `n` bytes at a time."""


class WatchFaultError(Exception):
    """A watch ended in another way than by the API server's time-out."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason, as it is counted, and the message for the log."""
        super().__init__(message)
        self.reason = reason


async def read_lines(body: Body, *, silence: float) -> AsyncIterator[list[bytes]]:
    """Yield whole lines as they come, without their ends.

    Args:
        body: of a watch's answer.
        silence: seconds after which a watch that carries nothing is taken for dead.

    Raises:
        WatchFaultError: Silent; Cut if the connection breaks; TornEvent if it ends within a line, or one is too long.
    """
    # The time-out is around the wait for bytes only: one around a `yield` would cancel the reader at its own work.
    chunks, rest = body.iter_chunked(CHUNK_BYTES), bytearray()
    try:
        while chunk := await _next_chunk(chunks, silence):
            first, *others = chunk.split(b"\n")
            rest += first
            if len(rest) > LONGEST_LINE:
                raise WatchFaultError("TornEvent", f"expected at most {LONGEST_LINE} bytes in an event, got more")
            lines: list[bytes] = []
            if others:
                lines = [line for line in (bytes(rest), *others[:-1]) if line]
                rest = bytearray(others[-1])
            yield lines
    except TimeoutError as error:
        raise WatchFaultError("Silent", f"no byte for {silence:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise WatchFaultError("Cut", one_line(f"{type(error).__name__}: {error}")) from error
    if rest:
        raise WatchFaultError("TornEvent", f"the connection ended after {len(rest)} bytes of an event")


async def _next_chunk(chunks: AsyncIterator[bytes], silence: float) -> bytes:
    async with asyncio.timeout(silence):
        return await anext(chunks, b"")


def parse_event(line: bytes) -> Object | UnreadableObject:
    """Read an event; one that is not an ERROR has an object with a resourceVersion.

    Returns:
        The event, or the name of its object if that cannot be parsed.

    Raises:
        WatchFaultError: TornEvent.
    """
    try:
        event = parse_object(line)
    except UnreadableError as error:
        unreadable = name_of(object_of_event(line), str(error))
        if unreadable.name and unreadable.version:
            return unreadable
    else:
        kind, obj = event.get("type"), event.get("object")
        if kind == "ERROR":
            return event
        meta = obj.get("metadata") if isinstance(obj, dict) else None
        if isinstance(kind, str) and isinstance(meta, dict) and is_version(meta.get("resourceVersion")):
            return event
    raise WatchFaultError("TornEvent", f"expected an event, got {line[:80]!r}")


def error_of(event: Object) -> WatchFaultError | None:
    """Return the failure that an ERROR event reports, None for other events. Expired: list again."""
    if event["type"] != "ERROR":
        return None
    status = event.get("object")
    status = status if isinstance(status, dict) else {}
    reason = "Expired" if status.get("code") == 410 else "ErrorEvent"
    text = f"{status.get('code')} {status.get('reason')}: {status.get('message')}"
    return WatchFaultError(reason, one_line(text))
