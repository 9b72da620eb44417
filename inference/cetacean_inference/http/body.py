"""Request bodies: counted while they stream, bounded one by one and all together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import Gauge
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from cetacean_inference.rejected_requests import RequestRejected

DRAIN_SECONDS: Final = 5.0


class Uploads:
    """Bounds the bytes of all bodies together: a body is stored on disk before its picture enters the queue.

    Args:
        limit: bytes of all bodies; a single body is always admitted.
        gauge: shows the current bytes.
        retry_after: seconds of `Retry-After` for rejected clients.
    """

    def __init__(self, limit: int, *, gauge: Gauge, retry_after: int) -> None:
        self._limit = limit
        self._gauge = gauge
        self._retry_after = retry_after
        self._reserved = 0

    @contextlib.contextmanager
    def reservation(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that reserves bytes for one body, or raises `RequestRejected` (429); released at the end."""
        mine = 0

        def reserve(announced: int) -> None:
            nonlocal mine
            if self._reserved and self._reserved + announced > self._limit:
                raise RequestRejected(
                    429,
                    f"{self._reserved} bytes are being uploaded already, expected at most {self._limit} with yours: "
                    "try again later",
                    retry_after=self._retry_after,
                )
            mine = announced
            self._add(announced)

        try:
            yield reserve
        finally:
            self._add(-mine)

    def _add(self, size: int) -> None:
        self._reserved += size
        self._gauge.set(self._reserved)


class Body:
    """The body of one request.

    Args:
        receive: returns its messages.
        limit: most bytes.
        seconds: time for the whole body.
    """

    def __init__(self, receive: Receive, *, limit: int, seconds: float) -> None:
        self._receive = receive
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._size = 0
        self._ended = asyncio.Event()
        self.limit = limit
        self.drainable = True
        """False if the client sends nothing more although the body is not complete."""
        self.disconnected = False
        """True if the client disconnected before the body was complete."""

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            HTTPException: 408 after too much time, 413 after too many bytes.
        """
        if self._ended.is_set():
            return await self._receive()  # only a disconnect can follow
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                message = await self._next()
        except TimeoutError as error:
            self.drainable = False
            raise HTTPException(408, f"expected the whole body within {self._seconds:g} s") from error
        self._size += len(message.get("body", b""))
        if self._size > self.limit:
            raise HTTPException(413, f"expected at most {self.limit} bytes, got more")
        return message

    async def wait_for_disconnect(self) -> None:
        """Wait until the client disconnects; until the body is complete, the reader of the body notices that first."""
        await self._ended.wait()
        while not self.disconnected and (await self._receive())["type"] != "http.disconnect":
            pass

    async def drain(self) -> None:
        """Read what a rejected client still sends, within bounds: closing the connection could lose the answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self.drainable and not self._ended.is_set() and self._size <= 2 * self.limit:
                    message = await self._next()
                    self._size += len(message.get("body", b""))

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
        if self.disconnected or not message.get("more_body", False):
            self._ended.set()
        return message
