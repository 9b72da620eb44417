"""A file server on loopback that can be made to fail."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import http.server
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from support.loopback import Quiet, listening

LONGEST_HANG_SECONDS: Final = 90
"""Longer than any test waits; without it, a client without a time-out would keep a test until its own time is over."""


@dataclass(slots=True)
class FileServer:
    """The server's files, its faults, and the requests it received."""

    directory: Path
    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of each request, in order."""
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers, instead of the file."""
    down: set[str] = field(default_factory=set)
    """Files that are answered with 503."""
    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    """Called before a file is answered."""
    retry_after: str | None = None
    """The Retry-After header of the answers of `statuses`."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the connection is closed, for each of the next answers."""
    strong_etag: bool = True
    weak_etag: bool = False
    """Send a weak ETag, and a Last-Modified beside it."""
    conditions_work: bool = True
    """Answer If-None-Match with 304."""
    ranges_work: bool = True
    range_shift: int = 0
    """How many bytes an answer to a Range begins after the byte that was asked for."""
    unasked_304: int = 0
    """Number of the next requests that are answered with 304, asked for or not."""
    chunked: bool = False
    """Send the file without its length."""
    encoding: str | None = None
    """Send the file in this encoding; it is compressed for `gzip` only."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Where a path leads to, with 302."""
    authorization: re.Pattern[str] | None = None
    """The header Authorization that a request needs, else the answer is 403."""
    modified: float = 0
    """The Last-Modified of all files, in seconds."""
    always_dated: bool = False
    """Send a Last-Modified beside a strong ETag, as object stores do."""
    hang: threading.Event | None = None
    """Send nothing after the headers until it is set, or for LONGEST_HANG_SECONDS, and then the file."""
    hang_after: int = 0
    """Bytes of the file that are sent before `hang`."""
    unconditional_ranges: bool = False
    """Send the rest of a file to who does not say of which version it has a part."""


@contextmanager
def serving(directory: Path) -> Iterator[FileServer]:
    """Serve the files of a directory."""
    state = FileServer(directory)

    class Answering(Quiet, http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, state)

    with listening(Answering) as port:
        state.url = f"http://127.0.0.1:{port}"
        yield state


@contextmanager
def serving_links(paths: Iterable[Path], directory: Path) -> Iterator[FileServer]:
    """Serve links to files from a new directory, so that a test can replace one of them."""
    directory.mkdir()
    for path in paths:
        (directory / path.name).symlink_to(path)
    with serving(directory) as server:
        yield server


def _answer(handler: http.server.BaseHTTPRequestHandler, state: FileServer) -> None:
    name = unquote(handler.path.partition("?")[0]).lstrip("/")
    state.requests[name] += 1
    state.ranges.append(handler.headers.get("Range"))
    state.headers.append(dict(handler.headers.items()))
    if target := state.redirects.get(name):
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    path = state.directory / name
    status = state.statuses.pop(0) if state.statuses else 200
    state.before.get(name, lambda: None)()
    if name in state.down:
        status = 503
    if status == 200 and not path.is_file():
        status = 404
    if (
        status == 200
        and state.authorization is not None
        and not state.authorization.fullmatch(handler.headers.get("Authorization", ""))
    ):
        status = 403
    if status != 200:
        _refuse(handler, state, status)
        return
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    if (state.conditions_work and handler.headers.get("If-None-Match") == etag) or state.unasked_304:
        state.unasked_304 = max(0, state.unasked_304 - 1)
        handler.send_response(304)
        handler.end_headers()
        return
    if handler.headers.get("If-Match", etag) != etag:
        _refuse(handler, state, 412)
        return
    offset = _offset(handler, state, etag) if state.ranges_work else 0
    if offset >= len(content) > 0:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    _send_file(handler, state, content, offset, etag)


def _refuse(handler: http.server.BaseHTTPRequestHandler, state: FileServer, status: int) -> None:
    handler.send_response(status)
    if state.retry_after is not None:
        handler.send_header("Retry-After", state.retry_after)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _send_file(
    handler: http.server.BaseHTTPRequestHandler, state: FileServer, content: bytes, offset: int, etag: str
) -> None:
    handler.send_response(206 if offset else 200)
    if offset:
        offset += state.range_shift
        handler.send_header("Content-Range", f"bytes {offset}-{len(content) - 1}/{len(content)}")
    body = content[offset:]
    if state.encoding:
        body = gzip.compress(body) if state.encoding == "gzip" else body
        handler.send_header("Content-Encoding", state.encoding)
    if state.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Content-Length", str(len(body)))
    if state.strong_etag:
        handler.send_header("ETag", f"W/{etag}" if state.weak_etag else etag)
    if state.weak_etag or not state.strong_etag or state.always_dated:
        handler.send_header("Last-Modified", _date(state))
    handler.end_headers()
    if state.hang:
        handler.wfile.write(body[: state.hang_after])
        body = body[state.hang_after :]
        state.hang.wait(LONGEST_HANG_SECONDS)
    if state.chunked:
        body = (
            b"".join(
                b"%x\r\n%b\r\n" % (len(body[begin : begin + 65536]), body[begin : begin + 65536])
                for begin in range(0, len(body), 65536)
            )
            + b"0\r\n\r\n"
        )
    if state.cut_after:
        handler.wfile.write(body[: state.cut_after.pop(0)])
        handler.close_connection = True
        return
    handler.wfile.write(body)


def _offset(handler: http.server.BaseHTTPRequestHandler, state: FileServer, etag: str) -> int:
    """Return the first byte to send: 0 if the file is not the one of which the client has a part."""
    given, condition = (
        handler.headers.get("Range", ""),
        {handler.headers.get("If-Range"), handler.headers.get("If-Match")},
    )
    fits = condition & {etag, _date(state)} or (state.unconditional_ranges and condition == {None})
    return int(given.removeprefix("bytes=").rstrip("-")) if given.startswith("bytes=") and fits else 0


def _date(state: FileServer) -> str:
    return email.utils.formatdate(state.modified, usegmt=True)
