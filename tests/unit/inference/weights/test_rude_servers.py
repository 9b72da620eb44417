"""Servers of weights that break the rules of HTTP: bounded in memory and time, and never taken for a complete file."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.raw_server import Answer, answering
from support.socks_server import socks_serving

from cetacean_inference.errors import WeightsNotFound, WeightsTruncated, WeightsUnreachable
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.download import Download
from cetacean_inference.weights.sources import source_of
from cetacean_inference.weights.sources.content_encoding import STEP, decoded
from cetacean_inference.weights.sources.source import Present

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


# --- encodings that nobody asked for ---------------------------------------------------------------------------------

CONTENT = os.urandom(5000)
BOMB = bytes(300 * STEP)


def bare(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "sent", "content"),
    [
        ("gzip", gzip.compress(CONTENT), CONTENT),
        ("x-gzip", gzip.compress(CONTENT), CONTENT),
        ("GZIP", gzip.compress(CONTENT) + gzip.compress(b"second"), CONTENT + b"second"),
        ("identity, gzip", gzip.compress(bytes(3 * STEP)), bytes(3 * STEP)),
        ("deflate", zlib.compress(CONTENT), CONTENT),
        ("deflate", bare(CONTENT), CONTENT),
        ("identity", CONTENT, CONTENT),
    ],
    ids=["gzip", "x-gzip", "two members", "several steps", "zlib", "bare deflate", "identity"],
)
@pytest.mark.parametrize("size", [1, 65536], ids=["in bytes", "at once"])
def test_one_encoding_is_undone(
    download: Make, partial: Path, encoding: str, sent: bytes, content: bytes, size: int
) -> None:
    def answer(_: bytes) -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        yield b"".join(chunk(sent[begin : begin + size]) for begin in range(0, len(sent), size)) + chunk(b"")

    download(answer).run()
    assert partial.read_bytes() == content


@pytest.mark.parametrize("encodings", ["gzip, gzip", "gzip,x-gzip", "gzip\r\nContent-Encoding: deflate"])
def test_several_encodings_are_refused(download: Make, encodings: str) -> None:
    with pytest.raises(WeightsUnreachable, match=r"expected the file as it is, got it with the encoding gzip, [\w-]+$"):
        download(lambda _: found(b"", f"Content-Encoding: {encodings}")).run()


@pytest.mark.parametrize(
    "sent",
    [b"", gzip.compress(CONTENT)[:2000], gzip.compress(CONTENT)[:-1], (gzip.compress(CONTENT) * 2)[:-9]],
    ids=["empty", "cut", "cut in the checksum", "second member cut"],
)
def test_a_compressed_file_that_is_cut_short_is_not_complete(download: Make, sent: bytes) -> None:
    with pytest.raises(WeightsTruncated, match="then: the gzip stream ended too early; gave up after 3 tries"):
        download(lambda _: found(sent, "Content-Encoding: gzip")).run()


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", b"no gzip at all"),
        ("gzip", gzip.compress(CONTENT) + b"x" * 20),
        ("deflate", zlib.compress(b"a") + b"b"),
    ],
    ids=["other bytes", "bytes after gzip", "bytes after deflate"],
)
def test_a_damaged_compressed_file_is_an_error(download: Make, encoding: str, sent: bytes) -> None:
    with pytest.raises(WeightsUnreachable, match=f"expected {encoding}, got damaged data: .*gave up after 3 tries"):
        download(lambda _: found(sent, f"Content-Encoding: {encoding}")).run()


@pytest.mark.parametrize(("encoding", "sent"), [("gzip", gzip.compress(BOMB)), ("deflate", zlib.compress(BOMB))])
def test_a_compressed_file_is_bounded_in_memory(encoding: str, sent: bytes) -> None:
    tracemalloc.start()
    try:
        assert sum(map(len, decoded(iter([sent]), encoding))) == len(BOMB)
        assert tracemalloc.get_traced_memory()[1] < 8 * STEP
    finally:
        tracemalloc.stop()


# --- the rest of a file ----------------------------------------------------------------------------------------------

FILE = bytes(range(100))


def broken(tag: str = '"a"', *, header: str = "ETag") -> Iterator[bytes]:
    """Return the answer that ends after 30 of 100 bytes."""
    yield f"HTTP/1.1 200 OK\r\n{header}: {tag}\r\nContent-Length: 100\r\n\r\n".encode("latin-1") + FILE[:30]


def first_byte(request: bytes) -> int | None:
    """Return the byte at which the rest that is asked for begins."""
    wanted = re.search(rb"Range: bytes=(\d+)-", request)
    return int(wanted[1]) if wanted else None


def test_a_range_that_is_shorter_than_the_rest_is_resumed(download: Make, partial: Path) -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(first := first_byte(request))
        if first is None:
            yield from broken()
            return
        end = min(first + 20, 100)
        yield from found(
            FILE[first:end], 'ETag: "a"', f"Content-Range: bytes {first}-{end - 1}/100", status="206 Partial Content"
        )

    assert download(answer, settings=FetchSettings(attempts=9, backoff_initial_seconds=0)).run().resumed
    assert partial.read_bytes() == FILE
    assert asked == [None, 30, 50, 70, 90]


@pytest.mark.parametrize(
    ("tag", "header", "rest"),
    [
        ('"a"', "ETag", ['ETag: "b"', "Content-Range: bytes 30-99/100"]),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "Last-Modified", ["Last-Modified: now", "Content-Range: bytes 30-99/100"]),
        ('"a"', "ETag", ['ETag: "a"', "Content-Range: bytes 30-99/101"]),
        ('"a"', "ETag", ['ETag: "a"', "Content-Range: bytes 30-98/100"]),
        ('"a"', "ETag", ['ETag: "a"', "Content-Range: bytes 30-99/99"]),
        ('"a"', "ETag", ['ETag: "a"', "Content-Range: bytes 30-99/*"]),
        ('"a"', "ETag", ['ETag: "a"', f"Content-Range: bytes 30-99/{'1' * 5000}"]),
        ('"a"', "ETag", ['ETag: "a"', "Content-Range: 30-99/100"]),
        ('"a"', "ETag", ['ETag: "a"']),
    ],
    ids=["etag", "date", "total", "length", "beyond the end", "no total", "long total", "no unit", "no range"],
)
def test_the_rest_of_another_file_is_not_appended(
    download: Make, partial: Path, tag: str, header: str, rest: list[str]
) -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(first_byte(request))
        if asked == [None]:
            yield from broken(tag, header=header)
        elif asked[-1] is None:
            yield from found(FILE)
        else:
            yield from found(b"z" * 70, *rest, status="206 Partial Content")

    assert not download(answer).run().resumed
    assert partial.read_bytes() == FILE
    assert asked == [None, 30, None]


@pytest.mark.parametrize("rest", [["Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"], ['ETag: W/"a"'], []])
def test_a_rest_without_a_strong_etag_is_appended(download: Make, partial: Path, rest: list[str]) -> None:
    def answer(request: bytes) -> Iterator[bytes]:
        if first_byte(request) is None:
            yield from broken()
        else:
            yield from found(FILE[30:], "Content-Range: bytes 30-99/100", *rest, status="206 Partial Content")

    assert download(answer).run().resumed
    assert partial.read_bytes() == FILE


def test_a_rest_with_too_many_bytes_is_not_complete(download: Make, partial: Path) -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(first_byte(request))
        if asked == [None]:
            yield from broken()
        elif asked[-1] is None:
            yield from found(FILE)
        elif asked[-1] >= 100:
            yield from found(b"", status="416 Range Not Satisfiable")
        else:
            yield b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 30-99/100\r\nTransfer-Encoding: chunked\r\n\r\n"
            yield chunk(b"z" * 80) + chunk(b"")

    download(answer, settings=FetchSettings(attempts=9, backoff_initial_seconds=0)).run()
    assert partial.read_bytes() == FILE
    assert asked == [None, 30, 110, None]


# --- a partial file that cannot be continued -------------------------------------------------------------------------

NO_STRING = '"\xfc"'
"""Sent as one byte that is not ASCII."""
ONCE = FetchSettings(attempts=1)


def test_an_etag_that_no_request_can_send_is_not_used(download: Make, partial: Path) -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(request)
        yield from broken(NO_STRING) if len(asked) == 1 else found(FILE, f"ETag: {NO_STRING}")

    assert download(answer).run().etag is None
    assert partial.read_bytes() == FILE
    assert not [request for request in asked if b"Range" in request]
    download(answer).run(present=Present("ab" * 32, 7, NO_STRING))  # as an earlier version kept it
    assert b"If-None-Match" not in asked[-1]


@pytest.mark.parametrize("validator", [NO_STRING, "a\r\nHost: b", "", 7, None])
def test_notes_with_a_validator_that_no_request_can_send_are_not_used(
    download: Make, partial: Path, validator: object
) -> None:
    requests = []

    def answer(request: bytes) -> Iterator[bytes]:
        requests.append(request)
        yield from broken() if len(requests) == 1 else found(FILE)

    interrupted = download(answer, settings=ONCE)
    with pytest.raises(WeightsTruncated):
        interrupted.run()
    notes = partial.with_suffix(".json")
    notes.write_text(json.dumps(json.loads(notes.read_text()) | {"validator": validator}))
    interrupted.run()
    assert partial.read_bytes() == FILE


def test_notes_that_are_nested_too_deep_are_not_used(download: Make, partial: Path) -> None:
    partial.write_bytes(b"rest")
    partial.with_suffix(".json").write_text("[" * 100_000)
    download(lambda _: found(FILE)).run()
    assert partial.read_bytes() == FILE


@pytest.mark.parametrize("scheme", ["http", "s3"])
@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 100\r\n\r\n" + FILE,
    ],
    ids=["400", "500", "501", "206 without a range", "200"],
)
def test_a_server_without_ranges_ends_no_later_start(
    scheme: str, refusal: bytes, options: FetchSettings, partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(first_byte(request.replace(b"range", b"Range")))
        if len(asked) == 1:
            date = "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"
            yield f'HTTP/1.1 200 OK\r\nETag: "a"\r\n{date}\r\nContent-Length: 100\r\n\r\n'.encode() + FILE[:30]
        else:
            yield refusal if asked[-1] else found_dated()

    def found_dated() -> bytes:
        return b"".join(found(FILE, 'ETag: "a"', "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"))

    with answering(answer) as url:
        source = source_of(s3(url, monkeypatch) if scheme == "s3" else f"{url}/a.ckpt", options)
        assert not Download(source, partial=partial, reserve=lambda _: None).run().resumed
    assert partial.read_bytes() == FILE
    assert 30 in asked


def s3(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a file of a bucket that a server has."""
    given = {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}
    for name, value in given.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return "s3://bucket/a.ckpt"


@pytest.mark.parametrize("scheme", ["http", "s3"])
@pytest.mark.parametrize(
    "busy",
    [*(b"HTTP/1.1 %d Busy\r\nContent-Length: 0\r\n\r\n" % status for status in (408, 429, 502, 503, 504)), b""],
    ids=["408", "429", "502", "503", "504", "hung up"],
)
def test_a_busy_server_loses_no_bytes(
    scheme: str, busy: bytes, options: FetchSettings, partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(first := first_byte(request.replace(b"range", b"Range")))
        date = "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"
        if len(asked) == 1:
            yield f'HTTP/1.1 200 OK\r\nETag: "a"\r\n{date}\r\nContent-Length: 100\r\n\r\n'.encode() + FILE[:30]
        elif len(asked) == 2:
            yield busy
        else:
            rest = FILE[first or 0 :]
            yield from found(rest, 'ETag: "a"', date, "Content-Range: bytes 30-99/100", status="206 Partial Content")

    with answering(answer) as url:
        source = source_of(s3(url, monkeypatch) if scheme == "s3" else f"{url}/a.ckpt", options)
        assert Download(source, partial=partial, reserve=lambda _: None).run().resumed
    assert partial.read_bytes() == FILE
    assert asked == [None, 30, 30]


def test_a_server_that_hangs_up_at_each_range_is_asked_for_the_whole_file_at_the_next_start(
    download: Make, partial: Path
) -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(first_byte(request))
        yield from broken() if len(asked) == 1 else found(FILE) if asked[-1] is None else ()

    starts = download(answer, settings=ONCE)
    for _ in range(2):
        with pytest.raises(WeightsTruncated):
            starts.run()
    starts.run()
    assert partial.read_bytes() == FILE
    assert asked == [None, 30, None]


# --- answers that do not end -----------------------------------------------------------------------------------------

BRIEF = FetchSettings(attempts=2, backoff_initial_seconds=0, min_rate_after_seconds=0.3, min_bytes_per_second=2**40)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


def without_end(head: bytes, part: bytes) -> Answer:
    def answer(_: bytes) -> Iterator[bytes]:
        yield head
        while True:
            yield part

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        without_end(CHUNKED + b"\r\n", chunk(b"x")),
        without_end(CHUNKED + b"Content-Encoding: gzip\r\n\r\n", chunk(gzip.compress(b""))),
        without_end(CHUNKED + b"Content-Encoding: deflate\r\n\r\n", chunk(b"\0\0\0\xff\xff")),
    ],
    ids=["byte by byte", "empty members of gzip", "empty blocks of deflate"],
)
def test_an_answer_without_an_end_is_given_up(download: Make, answer: Answer) -> None:
    with pytest.raises(WeightsUnreachable, match=r"a\.ckpt: expected at least \d+ bytes per second after 0\.3 s, got "):
        download(answer, settings=BRIEF).run()


HINTS = without_end(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")
TOO_LONG = r"expected at most 65536 bytes before the body, got more"


def test_heads_without_an_end_are_given_up(download: Make) -> None:
    with pytest.raises(WeightsUnreachable, match=TOO_LONG):
        download(HINTS, settings=ONCE).run()


def test_heads_without_an_end_behind_a_proxy_are_given_up(download: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(HINTS) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(WeightsUnreachable, match=TOO_LONG):
            download(lambda _: found(b"weights"), settings=ONCE).run()
    with socks_serving() as socks:
        monkeypatch.setenv("http_proxy", f"socks5://127.0.0.1:{socks.port}")
        with pytest.raises(WeightsUnreachable, match=TOO_LONG):
            download(HINTS, settings=ONCE).run()


def test_hints_before_each_answer_of_a_connection_are_taken(download: Make, partial: Path) -> None:
    """Each request has a bound of its own, and a body has none here."""

    def answer(request: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 40_000 + b"\r\n\r\n"
        if request.startswith(b"GET /moved "):
            yield b"HTTP/1.1 302 Found\r\nLocation: /a.ckpt\r\nContent-Length: 0\r\n\r\n"
        else:
            yield from found(PART * 40)

    download(answer, path="/moved").run()
    assert partial.read_bytes() == PART * 40


def test_the_time_of_a_download_counts_behind_a_proxy_too(download: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    answer = without_end(CHUNKED + b"\r\n", chunk(b"x"))
    with answering(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(WeightsUnreachable, match="expected at least"):
            download(lambda _: found(b"weights"), settings=BRIEF).run()
    with socks_serving() as socks:
        monkeypatch.setenv("http_proxy", f"socks5://127.0.0.1:{socks.port}")
        with pytest.raises(WeightsUnreachable, match="expected at least"):
            download(answer, settings=BRIEF).run()


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error"])
@pytest.mark.parametrize(
    ("part", "seconds", "reason"),
    [(b"x", 0.2, "timed out"), (PART, 300, "expected an answer of at most 67108864 bytes, got more")],
    ids=["slow", "large"],
)
def test_an_error_of_a_store_without_an_end_is_given_up(
    partial: Path, monkeypatch: pytest.MonkeyPatch, status: str, part: bytes, seconds: float, reason: str
) -> None:
    hung_up = threading.Event()

    def answer(_: bytes) -> Iterator[bytes]:
        yield f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        try:
            while True:
                yield chunk(part)
        finally:
            hung_up.set()

    settings = FetchSettings(attempts=1, connect_timeout_seconds=seconds, read_timeout_seconds=seconds)
    with answering(answer) as url:
        source = source_of(s3(url, monkeypatch), settings)
        with pytest.raises(WeightsUnreachable, match=f"a.ckpt: {reason}; gave up after 1 tries"):
            Download(source, partial=partial, reserve=lambda _: None).run()
        assert hung_up.wait(30)
