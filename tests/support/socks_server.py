"""A SOCKS5 proxy on loopback (RFC 1928, RFC 1929): CONNECT to an address or a name, with or without a password."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.loopback import running

_NO_PASSWORD, _PASSWORD, _REFUSED = 0, 2, 255
_IPV4, _NAME, _IPV6 = 1, 3, 4


@dataclass(slots=True)
class SocksServer:
    """The proxy's address, what it asks for, and the hosts that it was asked for."""

    port: int = 0
    password: tuple[str, str] | None = None
    hosts: list[str] = field(default_factory=list)


@contextmanager
def socks_serving(*, password: tuple[str, str] | None = None) -> Iterator[SocksServer]:
    """Serve until the block ends; every name is taken for this machine."""
    state = SocksServer(password=password)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                _answer(self.request, state)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server, running(server):
        state.port = server.server_address[1]
        yield state


def _answer(client: socket.socket, state: SocksServer) -> None:
    _, count = _read(client, 2)
    methods = _read(client, count)
    wanted = _PASSWORD if state.password else _NO_PASSWORD
    client.sendall(bytes([5, wanted if wanted in methods else _REFUSED]))
    if wanted not in methods:
        return
    if state.password:
        _read(client, 1)
        given = tuple(_read(client, _read(client, 1)[0]).decode() for _ in range(2))
        client.sendall(bytes([1, given != state.password]))
        if given != state.password:
            return
    *_, kind = _read(client, 4)
    if kind == _NAME:
        host = _read(client, _read(client, 1)[0]).decode()
    else:
        host = socket.inet_ntop(
            *((socket.AF_INET6, _read(client, 16)) if kind == _IPV6 else (socket.AF_INET, _read(client, 4)))
        )
    port = int.from_bytes(_read(client, 2))
    state.hosts.append(host)
    with socket.create_connection(("127.0.0.1", port)) as target:
        client.sendall(bytes([5, 0, 0, _IPV4, 127, 0, 0, 1, 0, 0]))
        back = threading.Thread(target=_copy, args=(target, client))
        back.start()
        _copy(client, target)
        back.join()


def _copy(origin: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := origin.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def _read(client: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        if not (chunk := client.recv(count - len(read))):
            raise ConnectionError("the client has closed the connection")
        read += chunk
    return read
