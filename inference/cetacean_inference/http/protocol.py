"""HTTP/1.1 on a connection: uvicorn's, with a deadline for the head of a request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def protocol_with_deadline(seconds: float) -> type[asyncio.Protocol]:
    """Return a protocol that closes a connection if the head of a request takes longer.

    uvicorn bounds only the time between two requests; a client that sends a head byte by byte would keep its connection
    for ever.
    """

    class Protocol(_HeadDeadline):
        head_seconds = seconds

    return Protocol


class _HeadDeadline(H11Protocol):
    head_seconds: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The next request may have come already, in part.
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is no HTTP, with a body like that of every other error."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # nothing can be added to an answer that has begun
            body = json.dumps({"detail": f"expected an HTTP request: {msg}"}).encode()
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            self.transport.write(self.conn.send(h11.Response(status_code=400, headers=headers)) or b"")
            self.transport.write(self.conn.send(h11.Data(data=body)) or b"")
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
        self.transport.close()

    def _expect_head(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(self.head_seconds, self._close_late)

    def _stop_waiting(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _close_late(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self.conn.send(h11.ConnectionClosed())
            self.transport.close()
