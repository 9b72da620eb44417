"""The bodies of requests: counted while they stream, bounded one by one and all together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import Gauge
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from cetacean_inference.refusals import Refused

LINGER_SECONDS: Final = 5.0


class Uploads:
    """Bounds how many bytes lie here at once: a body is spooled to disk before its picture takes a place in the queue.

    Args:
        limit: bytes of all bodies together; a single one is always let in.
        gauge: shows how many they are.
        retry_after: seconds that a refused client is told to wait.
    """

    def __init__(self, limit: int, *, gauge: Gauge, retry_after: int) -> None:
        self._limit = limit
        self._gauge = gauge
        self._retry_after = retry_after
        self._taken = 0

    @contextlib.contextmanager
    def admitted(self) -> Iterator[Callable[[int], None]]:
        """Gives what takes room for a body of so many bytes, or raises `Refused` (429); freed at the end."""
        mine = 0

        def admit(announced: int) -> None:
            nonlocal mine
            if self._taken and self._taken + announced > self._limit:
                raise Refused(
                    429,
                    f"{self._taken} bytes are being uploaded already, expected at most {self._limit} with yours: "
                    "ask again later",
                    retry_after=self._retry_after,
                )
            mine = announced
            self._change(announced)

        try:
            yield admit
        finally:
            self._change(-mine)

    def _change(self, by: int) -> None:
        self._taken += by
        self._gauge.set(self._taken)


class Body:
    """One request's body.

    Args:
        receive: gives its messages.
        limit: most bytes.
        seconds: in which it must be whole.
    """

    def __init__(self, receive: Receive, *, limit: int, seconds: float) -> None:
        self._receive = receive
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._size = 0
        self._ended = asyncio.Event()
        self.limit = limit
        self.lingers = True
        self.torn = False
        """Whether the client left before it was whole."""

    async def receive(self) -> Message:
        """The next message.

        Raises:
            HTTPException: 408 when it takes too long, 413 when it is too much.
        """
        if self._ended.is_set():
            return await self._receive()  # only the client's leaving can come now
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                message = await self._next()
        except TimeoutError as error:
            self.lingers = False
            raise HTTPException(408, f"expected the whole body within {self._seconds:g} s") from error
        self._size += len(message.get("body", b""))
        if self._size > self.limit:
            raise HTTPException(413, f"expected at most {self.limit} bytes, got more")
        return message

    async def left(self) -> None:
        """Wait until the client has left; while the body comes, whoever reads it sees that first."""
        await self._ended.wait()
        while not self.torn and (await self._receive())["type"] != "http.disconnect":
            pass

    async def drain(self) -> None:
        """Take what a refused client still sends, within bounds: closing the connection could cost it our answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self.lingers and not self._ended.is_set() and self._size <= 2 * self.limit:
                    message = await self._next()
                    self._size += len(message.get("body", b""))

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.torn = True
        if self.torn or not message.get("more_body", False):
            self._ended.set()
        return message
