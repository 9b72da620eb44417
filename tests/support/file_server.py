"""A file server on loopback that can be made to fail."""

from __future__ import annotations

import email.utils
import hashlib
import http.server
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.loopback import Quiet, listening


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
    retry_after: str | None = None
    """The Retry-After header of the answers of `statuses`."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the connection is closed, for each of the next answers."""
    strong_etag: bool = True
    ranges_work: bool = True


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
    name = handler.path.partition("?")[0].lstrip("/")
    state.requests[name] += 1
    state.ranges.append(handler.headers.get("Range"))
    state.headers.append(dict(handler.headers.items()))
    path = state.directory / name
    status = state.statuses.pop(0) if state.statuses else 200
    if status == 200 and not path.is_file():
        status = 404
    if status != 200:
        handler.send_response(status)
        if state.retry_after is not None:
            handler.send_header("Retry-After", state.retry_after)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    if handler.headers.get("If-None-Match") == etag:
        handler.send_response(304)
        handler.end_headers()
        return
    offset = _offset(handler, etag) if state.ranges_work else 0
    handler.send_response(206 if offset else 200)
    if offset:
        handler.send_header("Content-Range", f"bytes {offset}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - offset))
    handler.send_header("ETag" if state.strong_etag else "Last-Modified", etag if state.strong_etag else _date())
    handler.end_headers()
    body = content[offset:]
    if state.cut_after:
        handler.wfile.write(body[: state.cut_after.pop(0)])
        handler.close_connection = True
        return
    handler.wfile.write(body)


def _offset(handler: http.server.BaseHTTPRequestHandler, etag: str) -> int:
    """Return the first byte to send: 0 if the file is not the one of which the client has a part."""
    given = handler.headers.get("Range", "")
    if not given.startswith("bytes=") or handler.headers.get("If-Range") not in (etag, _date()):
        return 0
    return int(given.removeprefix("bytes=").rstrip("-"))


def _date() -> str:
    return email.utils.formatdate(0, usegmt=True)
