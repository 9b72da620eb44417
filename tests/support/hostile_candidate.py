"""A candidate's Service that behaves as badly as the name says by which it is asked; real sockets on loopback."""

from __future__ import annotations

import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from support.loopback import Quiet, listening
from support.served import free_port

GIGABYTE: Final = 2**30
_BLOCK: Final = b"x" * 65536
_GOOD_HEADERS: Final = {"X-Model-Name": "next", "X-Model-Version": "2.0.0", "Server-Timing": "predict;dur=1"}
REASONS: Final = {
    "hangs": "timeout",
    "drips": "timeout",
    "drips-headers": "timeout",
    "dead": "unreachable",
    "dies": "unreachable",
    "nonsense": "unreachable",
    "headers": "unreachable",
    "interim": "unreachable",
    "bytewise": "unreachable",
    "fails": "status",
    "redirects": "status",
    "gigabyte": "unreadable",
    "endless": "unreadable",
    "other": "wrong_model",
}
"""What each kind is counted as."""


@dataclass(slots=True)
class HostileCandidate:
    """The port of each kind by its Service's name, and what was asked and sent."""

    ports: dict[str, int] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by kind; those that a redirect has led elsewhere are `elsewhere`."""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of bodies by kind."""
    ending: threading.Event = field(default_factory=threading.Event)


def service_of(kind: str) -> str:
    """Return the host of the Service of that kind."""
    return f"{kind}.sea.svc"


@contextmanager
def hostile_candidate(sha256: str) -> Iterator[HostileCandidate]:
    """Run the server.

    Args:
        sha256: of the weights that it claims to serve.
    """
    state = HostileCandidate()

    class Handler(Quiet, http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            kind = self.headers["Host"].partition(".")[0] if self.path == "/v1/predict-shadow" else "elsewhere"
            state.asked[kind] += 1
            self.close_connection = True
            try:
                _answer(self, kind, state, sha256)
            except OSError:
                return  # the service has closed the connection

        def do_GET(self) -> None:
            state.asked["elsewhere"] += 1

    with listening(Handler) as port:
        state.ports |= {service_of(kind): port for kind in REASONS}
        state.ports[service_of("dead")] = free_port()
        try:
            yield state
        finally:
            state.ending.set()


def _answer(handler: http.server.BaseHTTPRequestHandler, kind: str, state: HostileCandidate, sha256: str) -> None:
    write = handler.wfile.write
    if kind == "hangs":
        state.ending.wait()
    elif kind == "dies":
        write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    elif kind == "nonsense":
        write(bytes(range(256)) * 8)
    elif kind == "headers":
        write(b"HTTP/1.1 200 OK\r\n")
        while not state.ending.is_set():
            write(b"X-Header: " + _BLOCK + b"\r\n")
    elif kind == "drips-headers":
        write(b"HTTP/1.1 200 OK\r\nX-Header: ")
        while not state.ending.wait(0.02):
            write(b"x")
    elif kind == "interim":
        while not state.ending.is_set():
            write(b"HTTP/1.1 103 E\r\n\r\n" * 4000)
            state.sent[kind] += 72_000
    elif kind == "bytewise":
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not state.ending.is_set():
            write(b"1\r\nx\r\n" * 10_000)
            state.sent[kind] += 60_000
    else:
        _respond(handler, kind, state, sha256)


def _respond(handler: http.server.BaseHTTPRequestHandler, kind: str, state: HostileCandidate, sha256: str) -> None:
    """Send correct headers, and a body that is not as expected."""
    status = {"fails": 500, "redirects": 307}.get(kind, 200)
    length = {"gigabyte": GIGABYTE, "drips": 1000}.get(kind, 2)
    handler.send_response(status)
    for name, value in _GOOD_HEADERS.items():
        handler.send_header(name, value)
    handler.send_header("X-Weights-SHA256", "0" * 64 if kind == "other" else sha256)
    if kind == "redirects":
        handler.send_header("Location", "/elsewhere")
    if kind != "endless":
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    if kind == "drips":
        while not state.ending.wait(0.02):
            handler.wfile.write(b"[")
    elif kind in ("gigabyte", "endless"):
        while state.sent[kind] < GIGABYTE:
            handler.wfile.write(_BLOCK)
            state.sent[kind] += len(_BLOCK)
    else:
        handler.wfile.write(b"{}")
