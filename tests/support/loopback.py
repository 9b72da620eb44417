"""HTTP servers on loopback, each in a thread of its own until its block ends."""

from __future__ import annotations

import http.server
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no traceback if a client has closed the connection early."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Quiet:
    """A mix-in for handlers that log nothing to standard error."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def listening(
    handler: type[http.server.BaseHTTPRequestHandler], *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """Serve with `handler`, on a free port unless one is given; yield the port."""
    with _Server((host, port), handler) as server, running(server):
        yield server.server_port


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """Accept connections in a thread until the block ends; the caller closes the server."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
