"""A relay before a server: it can speak TLS, and cut what the server sends."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.loopback import running


@dataclass(slots=True)
class Relay:
    """Where the relay listens, and its faults."""

    port: int = 0
    cut_after: list[int] = field(default_factory=list)
    """Bytes of an answer after which the connection is closed, for each of the next connections."""
    open: list[socket.socket] = field(default_factory=list)
    """The connections of clients."""


@contextlib.contextmanager
def relaying(port: int, *, tls: ssl.SSLContext | None = None) -> Iterator[Relay]:
    """Relay connections to a port of loopback; with TLS to the client if a context is given."""
    state = Relay()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
                client = self.request
                if tls is not None:
                    client = opened.enter_context(tls.wrap_socket(client, server_side=True))
                state.open.append(client)
                server = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
                sender = threading.Thread(target=_send, args=(client, server))
                sender.start()
                opened.callback(sender.join)
                _receive(server, client, state.cut_after.pop(0) if state.cut_after else None)
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = False
        block_on_close = True

    with Server(("127.0.0.1", 0), Handler) as listener:
        state.port = listener.server_address[1]
        try:
            with running(listener):
                yield state
        finally:
            for client in state.open:  # a client may keep its connections
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)


def _send(client: socket.socket, server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := client.recv(65536):
            server.sendall(received)
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_WR)


def _receive(server: socket.socket, client: socket.socket, most: int | None) -> None:
    while received := server.recv(65536):
        if most is not None and len(received) >= most:
            client.sendall(received[:most])
            return
        client.sendall(received)
        most = None if most is None else most - len(received)
