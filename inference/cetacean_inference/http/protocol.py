"""HTTP/1.1 on a connection: uvicorn's, with deadlines for what clients send and take, and a bound of connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cetacean_inference.settings import MIB

TAKEN_BYTES: Final = MIB
"""What a client that takes a large answer slowly must take of it within the time for sending."""


def bounded_protocol(
    *, head_seconds: float, send_seconds: float, max_connections: int, on_room_made: Callable[[], None]
) -> type[asyncio.Protocol]:
    """Return a protocol whose connections neither wait for ever nor keep others out.

    uvicorn bounds only the time between two requests. A client that sends a head byte by byte, or the body of a request
    that has been answered, or that does not take its answers would keep its connection for ever. Its own limit of
    connections answers 503 to the next one, which may be a probe of the kubelet.

    Args:
        head_seconds: a connection on which the head of a request takes longer is closed, and so is one on which a body
            takes longer that nobody reads, because the request has been answered.
        send_seconds: a connection whose client takes neither an answer nor `TAKEN_BYTES` of it in that time is aborted.
        max_connections: of the server; with one more, the one whose client has been waited for longest is closed. A
            client is waited for until its request is complete, and until it has taken its answer. Only a request's head
            begins that time again, not further bytes.
        on_room_made: called for each connection that is closed so.
    """

    class Protocol(_Bounded):
        waiting: dict[_Bounded, None] = {}  # noqa: RUF012 - of all connections

    Protocol.head_seconds, Protocol.send_seconds, Protocol.max_connections = head_seconds, send_seconds, max_connections
    Protocol.on_room_made = staticmethod(on_room_made)
    return Protocol


class _Bounded(H11Protocol):
    head_seconds: float
    send_seconds: float
    max_connections: int
    on_room_made: Callable[[], None]
    waiting: dict[_Bounded, None]
    """Connections whose clients must send a request or take an answer, that which has waited longest first."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._receive_deadline: asyncio.TimerHandle | None = None
        self._send_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # `pause_writing` then means that the client has not taken everything
        self.waiting[self] = None
        self._expect_bytes()
        if len(self.connections) > self.max_connections:
            next(iter(self.waiting)).make_room()  # this one, if each of the others has a whole request

    def data_received(self, data: bytes) -> None:
        if not self._is_answering:
            self._expect_bytes()
        previous = self.cycle
        super().data_received(data)
        if self._is_answering:
            self._stop_expecting()
            if self.cycle is not previous and not self.flow.write_paused:
                self.waiting.pop(self, None)
            self._update_waiting()
        elif self._is_between_requests:  # the rest of a body has come, for which uvicorn has ended its own time
            self._stop_expecting()
            self._keep_alive()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._update_waiting()
        if self._is_answering:  # the next request has come already
            return
        if not self._is_between_requests:  # a part of the next request, or a body that nobody has read
            self._expect_bytes()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._update_waiting()
        self._expect_taken()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._update_waiting()
        self._stop_sending()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.pop(self, None)
        self._stop_expecting()
        self._stop_sending()
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

    def make_room(self) -> None:
        """Close the connection at once: an incomplete request, or an answer that its client does not take, is lost."""
        self.waiting.pop(self, None)  # abort() takes effect later, and the next connection needs room from another one
        if self.flow.write_paused or self._is_answering:
            self.transport.abort()
        else:
            self._close()
        self.on_room_made()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_between_requests(self) -> bool:
        return self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def _update_waiting(self) -> None:
        """Note whether the client is waited for; if it was already, it keeps its place."""
        if self._is_answering and not self.cycle.more_body and not self.flow.write_paused:
            self.waiting.pop(self, None)
        else:
            self.waiting.setdefault(self)

    def _close(self) -> None:
        """Close the connection, on which no request is answered now."""
        self.waiting.pop(self, None)
        self._stop_expecting()
        if not self.transport.is_closing():
            self.conn.send(h11.ConnectionClosed())
            self.transport.close()

    def _expect_bytes(self) -> None:
        """Begin the time for what the client must send; further bytes do not extend it."""
        if self._receive_deadline is None:
            self._receive_deadline = self.loop.call_later(self.head_seconds, self._close)

    def _stop_expecting(self) -> None:
        if self._receive_deadline is not None:
            self._receive_deadline.cancel()
            self._receive_deadline = None

    def _keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _expect_taken(self) -> None:
        """Begin the time in which the client must take what it was sent, or enough of it."""
        untaken = self.transport.get_write_buffer_size()
        self._send_deadline = self.loop.call_later(self.send_seconds, partial(self._check_taken, untaken))

    def _check_taken(self, before: int) -> None:
        if self.transport.get_write_buffer_size() > before - TAKEN_BYTES:
            self.transport.abort()  # closing it would wait until the client has taken everything
        else:
            self._expect_taken()

    def _stop_sending(self) -> None:
        if self._send_deadline is not None:
            self._send_deadline.cancel()
            self._send_deadline = None
