"""Servers of weights that break the rules of HTTP: bounded in memory and time, and never taken for a complete file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.raw_server import Answer, answering

from cetacean_inference.errors import WeightsNotFound
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.download import Download
from cetacean_inference.weights.sources import source_of

Make = Callable[..., Download]

PART = b"x" * 65536
MANY = 1000
"""Parts that no client should read; more than the buffers between two sockets hold."""


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "a.part"


@pytest.fixture
def download(options: FetchSettings, partial: Path) -> Iterator[Make]:
    """Return the download from a server that answers so."""
    with ExitStack() as opened:

        def make(answer: Answer, *, path: str = "/a.ckpt", settings: FetchSettings = options) -> Download:
            url = opened.enter_context(answering(answer)) + path
            return Download(source_of(url, settings), partial=partial, reserve=lambda _: None)

        yield make


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


def found(content: bytes, *headers: str, status: str = "200 OK") -> Iterator[bytes]:
    """Return an answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers]
    yield "\r\n".join([*lines, "", ""]).encode("latin-1") + content


# --- redirects -------------------------------------------------------------------------------------------------------


def test_the_body_of_a_redirect_is_not_read(download: Make, partial: Path) -> None:
    sent = []

    def answer(request: bytes) -> Iterator[bytes]:
        if not request.startswith(b"GET /moved "):
            yield from found(b"weights")
            return
        yield b"HTTP/1.1 302 Found\r\nLocation: /a.ckpt\r\nTransfer-Encoding: chunked\r\n\r\n"
        for number in range(MANY):
            sent.append(number)
            yield chunk(PART)
        yield chunk(b"")

    download(answer, path="/moved").run()
    assert partial.read_bytes() == b"weights"
    assert len(sent) < MANY


@pytest.mark.parametrize(("redirects", "followed"), [(20, True), (21, False)])
def test_twenty_redirects_are_followed(download: Make, partial: Path, *, redirects: int, followed: bool) -> None:
    def answer(request: bytes) -> Iterator[bytes]:
        number = int(request.split()[1][1:])
        yield from found(b"", f"Location: /{number - 1}", status="302 Found") if number else found(b"weights")

    moved = download(answer, path=f"/{redirects}")
    if followed:
        moved.run()
        assert partial.read_bytes() == b"weights"
    else:
        with pytest.raises(WeightsNotFound, match="expected at most 20 redirects, got more"):
            moved.run()


def test_a_redirect_names_no_credential(download: Make) -> None:
    requests = []

    def answer(request: bytes) -> Iterator[bytes]:
        requests.append(request)
        host = request.partition(b"Host: ")[2].partition(b"\r\n")[0].decode()
        moved = request.startswith(b"GET /moved ")
        yield from found(b"", f"Location: http://u:p@{host}/a", status="302 Found") if moved else found(b"weights")

    download(answer, path="/moved").run()
    assert len(requests) == 2
    assert not [request for request in requests if b"Authorization" in request]
