"""A small HTTP server in the event loop, for probes and metrics.

Anybody who reaches the port may connect, so each connection has deadlines, and there are only so many. aiohttp alone
waits for ever for the head of a first request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the connections of one port."""

    head_seconds: float = 10.0
    """Time for the first line and the headers of a request."""
    idle_seconds: float = 30.0
    """Time to take an answer and to begin the next request."""
    connections: int = 64
    """If one more is opened, the one that has waited longest for a request is closed: probes always get in."""


DEFAULT_LIMITS: Final = Limits()


async def serve(
    host: str, port: int, handlers: Mapping[str, Handler], *, limits: Limits = DEFAULT_LIMITS
) -> tuple[web.BaseRunner, int]:
    """Answer GET and HEAD requests.

    Args:
        host: to listen on.
        port: to listen on; 0 takes a free one.
        handlers: by path.
        limits: of the connections.

    Returns:
        The runner, to be cleaned up, and the port.
    """
    runner = web.ServerRunner(_Server(handlers, limits))
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, int(runner.addresses[0][1])


class _Server(web.Server):
    """Creates a connection for each client, and closes one if there are too many."""

    def __init__(self, handlers: Mapping[str, Handler], limits: Limits) -> None:
        super().__init__(self._answer)
        self._handlers = handlers
        self._limits = limits
        self._open: dict[_Connection, None] = {}
        """Connections, the one that was created first at the front."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._limits)

    def opened(self, connection: _Connection) -> None:
        """Take a new connection; closes another one if there are too many."""
        self._open[connection] = None
        if len(self._open) > self._limits.connections:
            waiting = (one for one in self._open if one.waiting and one is not connection)
            surplus = next(waiting, connection)
            self.closed(surplus)  # abort() takes effect later, and the next connection needs room from another one
            surplus.abort()

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        connection = request.protocol
        assert isinstance(connection, _Connection)  # noqa: S101 -- __call__ creates no others
        connection.head_received()
        try:
            handler = self._handlers.get(request.path)
            if handler is None:
                return web.Response(status=404, text=f"expected one of {', '.join(self._handlers)}")
            if request.method not in ("GET", "HEAD"):
                return web.Response(status=405, text="expected GET or HEAD", headers={"Allow": "GET, HEAD"})
            return await handler(request)
        finally:
            connection.expect_request()


class _Connection(web.RequestHandler):
    """One connection; it is aborted if a deadline passes, as its client may not read the rest either."""

    def __init__(self, server: _Server, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, keepalive_timeout=limits.idle_seconds, access_log=None)  # type: ignore[arg-type] # None: no access log, as in AppRunner
        self._server = server
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._idle = False
        self.waiting = True
        """True unless an answer is being made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._close_in(self._limits.head_seconds)
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._idle:  # the first bytes of the next request
            self._idle = False
            self._close_in(self._limits.head_seconds)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop()
        self._server.closed(self)
        super().connection_lost(exc)

    def head_received(self) -> None:
        """Wait for the answer, however long that takes."""
        self._stop()
        self.waiting = self._idle = False

    def expect_request(self) -> None:
        """Wait until the client has taken the answer and has begun its next request."""
        self.waiting = self._idle = True
        self._close_in(self._limits.idle_seconds)

    def abort(self) -> None:
        """Close at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    def _close_in(self, seconds: float) -> None:
        self._stop()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
