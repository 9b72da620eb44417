"""A server on loopback that sends the bytes that a test gives, whatever HTTP says about them."""

from __future__ import annotations

import contextlib
import socketserver
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from support.loopback import running

Answer = Callable[[bytes], Iterable[bytes]]
"""From the head of a request to the parts of its answer; an answer without an end ends when the client hangs up."""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Answer one request for each connection, and close it; yields the server's URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                head = b""
                while b"\r\n\r\n" not in head:
                    if not (received := self.request.recv(65536)):
                        return
                    head += received
                for part in answer(head):
                    self.request.sendall(part)

    with _Server(("127.0.0.1", 0), Handler) as server, running(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"
