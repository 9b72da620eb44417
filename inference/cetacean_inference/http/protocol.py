"""HTTP/1.1 on a connection: uvicorn's, with a deadline for the head of a request and a bound of connections."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def bounded_protocol(*, head_seconds: float, max_connections: int) -> type[asyncio.Protocol]:
    """Return a protocol whose connections neither wait for ever nor keep others out.

    uvicorn bounds only the time between two requests; a client that sends a head byte by byte would keep its connection
    for ever. Its own limit of connections answers 503 to the next one, which may be a probe of the kubelet.

    Args:
        head_seconds: a connection on which the head of a request takes longer is closed.
        max_connections: of the server; with one more, the one that has waited longest for a request is closed.
    """

    class Protocol(_Bounded):
        waiting: dict[_Bounded, None] = {}  # noqa: RUF012 - of all connections

    Protocol.head_seconds, Protocol.max_connections = head_seconds, max_connections
    return Protocol


class _Bounded(H11Protocol):
    head_seconds: float
    max_connections: int
    waiting: dict[_Bounded, None]
    """Connections without a request, that which has waited longest first."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self.waiting[self] = None
        self._expect_head()
        if len(self.connections) > self.max_connections:
            next(iter(self.waiting)).close_waiting()  # this one, if each of the others has a request

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self.waiting[self] = None
            if self.conn.trailing_data[0]:  # the next request has come already, in part
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

    def close_waiting(self) -> None:
        """Close the connection, on which no request is answered now."""
        self._stop_waiting()
        if not self.transport.is_closing():
            self.conn.send(h11.ConnectionClosed())
            self.transport.close()

    def _expect_head(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(self.head_seconds, self.close_waiting)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
