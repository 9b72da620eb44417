"""HTTP servers on loopback, each in a thread of its own for as long as a test wants it."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that closes the connection early is not worth a traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Quiet:
    """A handler that says nothing on standard error of what it is asked."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listening(
    handler: type[http.server.BaseHTTPRequestHandler], *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """Serve with `handler`, on a free port if none is given; yields the port."""
    server = _Server((host, port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
