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
    name_of,
    object_of_event,
    parse_object,
)

CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})
CHUNK_BYTES = 1 << 20


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
        WatchFaultError: Silent; Cut if the connection breaks; TornEvent if it ends within a line.
    """
    # The time-out is around the wait for bytes only: one around a `yield` would cancel the reader at its own work.
    chunks, rest = body.iter_chunked(CHUNK_BYTES), b""
    try:
        while chunk := await _next_chunk(chunks, silence):
            *lines, rest = (rest + chunk).split(b"\n")
            yield [line for line in lines if line]
    except TimeoutError as error:
        raise WatchFaultError("Silent", f"no byte for {silence:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise WatchFaultError("Cut", f"{type(error).__name__}: {error}") from error
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
        if event["type"] == "ERROR" or isinstance(event["object"]["metadata"]["resourceVersion"], str):
            return event
    except UnreadableError as error:
        unreadable = name_of(object_of_event(line), str(error))
        if unreadable.name and unreadable.version:
            return unreadable
    except (TypeError, KeyError):
        pass
    raise WatchFaultError("TornEvent", f"expected an event, got {line[:80]!r}")


def error_of(event: Object) -> WatchFaultError | None:
    """Return the failure that an ERROR event reports, None for other events. Expired: list again."""
    if event["type"] != "ERROR":
        return None
    status = event.get("object")
    status = status if isinstance(status, dict) else {}
    reason = "Expired" if status.get("code") == 410 else "ErrorEvent"
    return WatchFaultError(reason, f"{status.get('code')} {status.get('reason')}: {status.get('message')}")
