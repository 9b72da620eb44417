"""Downloading one file: resuming, retrying, and bounds."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import socket
import threading
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import httpx
import pytest
from support.file_server import FileServer

from cetacean_inference.errors import (
    CacheFull,
    FatalError,
    WeightsDenied,
    WeightsNotFound,
    WeightsTooLarge,
    WeightsTruncated,
    WeightsUnreachable,
)
from cetacean_inference.settings import MIB, FetchSettings
from cetacean_inference.weights.download import Download
from cetacean_inference.weights.sources import source_of
from cetacean_inference.weights.sources.source import NotModified, Present

Make = Callable[..., Download]


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "a.part"


@pytest.fixture
def reserved() -> list[int]:
    return []


@pytest.fixture
def download(server: FileServer, options: FetchSettings, partial: Path, reserved: list[int]) -> Make:
    def make(*, url: str | None = None, settings: FetchSettings = options) -> Download:
        url = url or f"{server.url}/a.ckpt"
        return Download(source_of(url, settings), partial=partial, reserve=reserved.append)

    return make


def test_a_complete_file_is_stored_and_hashed(
    download: Make, partial: Path, content: bytes, digest: str, reserved: list[int]
) -> None:
    found = download().run()
    assert (found.sha256, found.resumed) == (digest, False)
    assert found.etag
    assert partial.read_bytes() == content
    assert reserved == [len(content)]


def test_a_broken_download_is_resumed(
    download: Make, server: FileServer, partial: Path, content: bytes, digest: str, reserved: list[int]
) -> None:
    server.cut_after = [100_000, 50_000]
    found = download().run()
    assert (found.sha256, found.resumed) == (digest, True)
    assert partial.read_bytes() == content
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert reserved == [300_000, 200_000, 150_000]


def test_a_download_of_an_earlier_process_is_resumed(
    download: Make, server: FileServer, options: FetchSettings, digest: str
) -> None:
    server.cut_after = [100_000]
    with pytest.raises(WeightsTruncated):
        download(settings=options.model_copy(update={"attempts": 1})).run()
    found = download().run()
    assert (found.sha256, found.resumed) == (digest, True)
    assert server.ranges == [None, "bytes=100000-"]


def test_a_download_starts_over_if_the_file_at_the_url_changed(
    download: Make, server: FileServer, options: FetchSettings, partial: Path
) -> None:
    server.cut_after = [100_000]
    with pytest.raises(WeightsTruncated):
        download(settings=options.model_copy(update={"attempts": 1})).run()
    (server.directory / "a.ckpt").write_bytes(b"another file")
    assert not download().run().resumed
    assert partial.read_bytes() == b"another file"


def test_a_download_starts_over_if_the_server_has_no_ranges(
    download: Make, server: FileServer, partial: Path, content: bytes
) -> None:
    server.ranges_work = False
    server.cut_after = [100_000]
    assert not download().run().resumed
    assert partial.read_bytes() == content


def test_an_attempt_with_progress_does_not_count_as_a_failure(
    download: Make, server: FileServer, partial: Path
) -> None:
    content = os.urandom(6 * MIB)
    (server.directory / "a.ckpt").write_bytes(content)
    server.cut_after = [MIB] * 5
    download().run()
    assert partial.read_bytes() == content
    assert server.requests["a.ckpt"] == 6


def test_attempts_with_little_progress_count_as_one_without_failure_together(
    download: Make, server: FileServer, partial: Path
) -> None:
    content = os.urandom(6 * MIB)
    (server.directory / "a.ckpt").write_bytes(content)
    server.cut_after = [MIB // 2] * 11
    download().run()
    assert partial.read_bytes() == content


def test_a_byte_in_each_attempt_is_no_progress(download: Make, server: FileServer) -> None:
    server.cut_after = [1] * 10
    with pytest.raises(WeightsTruncated, match=r"got 3 bytes, then: .*gave up after 3 tries"):
        download().run()
    assert server.requests["a.ckpt"] == 3


def test_a_file_truncated_at_each_attempt_is_an_error(download: Make, server: FileServer) -> None:
    server.cut_after = [0] * 10
    with pytest.raises(WeightsTruncated, match=r"got 0 bytes.*gave up after 3 tries"):
        download().run()
    assert server.requests["a.ckpt"] == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_temporary_error_status_is_retried(download: Make, server: FileServer, digest: str, status: int) -> None:
    server.statuses = [status, status]
    assert download().run().sha256 == digest


def test_a_server_that_keeps_failing_is_an_error(download: Make, server: FileServer) -> None:
    server.statuses = [503] * 10
    with pytest.raises(WeightsUnreachable, match="expected 200, got 503 Service Unavailable; gave up after 3 tries"):
        download().run()
    assert server.requests["a.ckpt"] == 3


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts; the test does not wait for them."""
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=pauses.append))
    return pauses


BACKING_OFF = FetchSettings(attempts=6, backoff_initial_seconds=1, backoff_max_seconds=6)


def test_pauses_double_up_to_the_maximum(download: Make, server: FileServer, slept: list[float]) -> None:
    server.statuses = [503] * 5
    download(settings=BACKING_OFF).run()
    assert len(slept) == 5
    for pause, least in zip(slept, (1, 2, 4, 6, 6), strict=True):
        assert least <= pause <= least + 1  # jitter


def test_retry_after_is_obeyed_up_to_the_maximum(download: Make, server: FileServer, slept: list[float]) -> None:
    server.statuses, server.retry_after = [429], "5"
    download(settings=BACKING_OFF).run()
    server.statuses, server.retry_after = [503], "3600"
    download(settings=BACKING_OFF).run()
    assert slept == [5, 6]


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (formatdate(2**33, usegmt=True), 6, 6),
        (formatdate(0, usegmt=True), 1, 2),
        ("soon", 1, 2),
        ("9" * 400, 1, 2),
        ("Thu, 01 Jan 99999999999 00:00:00 GMT", 1, 2),
    ],
    ids=["in the future", "in the past", "words", "many digits", "no date"],
)
def test_retry_after_may_be_a_date(
    download: Make, server: FileServer, slept: list[float], value: str, least: float, most: float
) -> None:
    server.statuses, server.retry_after = [503], value
    download(settings=BACKING_OFF).run()
    assert least <= slept[0] <= most


def test_progress_is_logged(
    download: Make, server: FileServer, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    every_time = FetchSettings(progress_interval_seconds=0)
    with caplog.at_level(logging.INFO):
        download(settings=every_time).run()
    *intermediate, last = [record.message for record in caplog.records if record.name.endswith("progress")]
    assert intermediate
    for line in intermediate:
        assert re.fullmatch(rf"{server.url}/a\.ckpt: 0\.\d of 0\.3 MiB \(\d+ %\), [\d.]+ MiB/s", line)
    assert re.fullmatch(rf"{server.url}/a\.ckpt: complete, 0\.3 MiB, [\d.]+ MiB/s", last)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, WeightsDenied), (403, WeightsDenied), (404, WeightsNotFound), (410, WeightsNotFound)],
)
def test_a_permanent_error_status_is_not_retried(
    download: Make, server: FileServer, status: int, kind: type[FatalError]
) -> None:
    server.statuses = [status]
    with pytest.raises(kind, match=f"a.ckpt: expected 200, got {status}"):
        download().run()
    assert server.requests["a.ckpt"] == 1


def test_a_closed_port_is_an_error(download: Make, options: FetchSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(WeightsUnreachable, match="gave up after 3 tries"):
        download(url=f"http://127.0.0.1:{port}/a.ckpt").run()


def test_a_file_larger_than_the_bound_is_an_error(
    download: Make, options: FetchSettings, partial: Path, content: bytes
) -> None:
    with pytest.raises(WeightsTooLarge, match="expected at most 1000 bytes, got 300000"):
        download(settings=options.model_copy(update={"max_bytes": 1000})).run()
    assert not partial.exists()


def test_a_missing_reservation_stops_before_the_first_byte(
    server: FileServer, options: FetchSettings, partial: Path
) -> None:
    def full(needed: int) -> None:
        raise CacheFull(f"needs {needed}")

    url = f"{server.url}/a.ckpt"
    with pytest.raises(CacheFull, match="needs 300000"):
        Download(source_of(url, options), partial=partial, reserve=full).run()
    assert not partial.exists()


def test_nothing_is_written_before_room_is_made(
    server: FileServer, options: FetchSettings, partial: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room: list[int] = []
    plainly = Path.write_text

    def writes(path: Path, text: str, *, encoding: str) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plainly(path, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", writes)
    url = f"{server.url}/a.ckpt"
    download = Download(source_of(url, options), partial=partial, reserve=room.append)
    assert download.run().sha256 == digest
    assert room == [300_000]


def test_notes_that_cannot_be_written_are_reported_in_one_line(
    download: Make, server: FileServer, partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CacheFull, match=r"a\.ckpt: cannot write .*a\.part: No space left on device"):
        download().run()
    assert server.requests["a.ckpt"] == 1


def test_a_current_file_is_not_sent_again(download: Make) -> None:
    etag = download().run().etag
    with pytest.raises(NotModified):
        download().run(present=Present("ab" * 32, 300_000, etag))


def test_a_local_file_is_copied(download: Make, tmp_path: Path, partial: Path) -> None:
    (tmp_path / "with space.ckpt").write_bytes(b"weights")
    assert len(download(url=f"file://{tmp_path}/with%20space.ckpt").run().sha256) == 64
    assert partial.read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["missing.ckpt", ""])
def test_a_missing_local_file_is_an_error(download: Make, tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsNotFound):
        download(url=f"file://{tmp_path}/{name}").run()


@pytest.mark.parametrize("url", ["http://", "http://[::1/a.ckpt"])
def test_an_invalid_url_is_reported_in_one_line(download: Make, url: str) -> None:
    with pytest.raises(FatalError) as caught:
        download(url=url).run()
    assert "\n" not in caught.value.line


# --- servers that are not polite -------------------------------------------------------------------------------------


def test_a_redirect_is_followed(download: Make, server: FileServer, digest: str) -> None:
    server.redirects = {"moved.ckpt": f"{server.url}/a.ckpt?signature=secret"}
    assert download(url=f"{server.url}/moved.ckpt").run().sha256 == digest


def test_a_server_that_hangs_is_given_up_after_the_read_timeout(
    download: Make, server: FileServer, options: FetchSettings
) -> None:
    server.hang = threading.Event()
    impatient = options.model_copy(update={"read_timeout_seconds": 0.05, "attempts": 2})
    try:
        with pytest.raises(WeightsUnreachable, match=r"a\.ckpt: .*timed out; gave up after 2 tries"):
            download(settings=impatient).run()
    finally:
        server.hang.set()


def interrupted(server: FileServer, download: Make, options: FetchSettings, *, after: int = 100_000) -> None:
    """Leave a partial file and its notes."""
    server.cut_after = [after]
    with pytest.raises(WeightsTruncated):
        download(settings=options.model_copy(update={"attempts": 1})).run()


def test_a_complete_partial_file_is_fetched_again_after_416(
    download: Make, server: FileServer, partial: Path, content: bytes, digest: str, options: FetchSettings
) -> None:
    interrupted(server, download, options)
    partial.write_bytes(content)  # the process was killed between the last byte and the renaming
    assert download().run().sha256 == digest
    assert server.ranges[1:] == ["bytes=300000-", None]
    assert partial.read_bytes() == content


def test_a_rest_that_begins_at_another_byte_is_not_appended(
    download: Make, server: FileServer, partial: Path, content: bytes, digest: str, options: FetchSettings
) -> None:
    interrupted(server, download, options)
    server.range_shift = 7
    found = download().run()
    assert (found.sha256, found.resumed) == (digest, False)
    assert partial.read_bytes() == content


def test_a_partial_file_of_another_url_is_not_continued(
    download: Make, server: FileServer, options: FetchSettings
) -> None:
    interrupted(server, download, options)
    (server.directory / "b.ckpt").write_bytes(b"another file")
    found = download(url=f"{server.url}/b.ckpt").run()
    assert (found.sha256, found.resumed) == (hashlib.sha256(b"another file").hexdigest(), False)
    assert server.ranges[-1] is None


@pytest.mark.parametrize("strong", [True, False], ids=["beside a weak ETag", "alone"])
def test_a_download_is_resumed_by_its_date(
    download: Make, server: FileServer, options: FetchSettings, digest: str, *, strong: bool
) -> None:
    server.strong_etag, server.weak_etag = strong, strong
    interrupted(server, download, options)
    found = download().run()
    assert (found.sha256, found.resumed) == (digest, True)
    assert server.headers[-1]["If-Range"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_the_size_is_bounded_while_bytes_arrive(
    download: Make, server: FileServer, options: FetchSettings, partial: Path
) -> None:
    server.chunked = True
    with pytest.raises(WeightsTooLarge, match=r"expected at most 100000 bytes, got \d+ or more"):
        download(settings=options.model_copy(update={"max_bytes": 100_000})).run()
    assert not partial.exists()


def test_a_file_without_a_length_is_downloaded(download: Make, server: FileServer, digest: str) -> None:
    server.chunked = True
    assert download().run().sha256 == digest


def test_the_file_is_asked_for_as_it_is(download: Make, server: FileServer) -> None:
    download().run()
    assert server.headers[0]["Accept-Encoding"] == "identity"


def test_a_file_that_is_compressed_anyway_is_decompressed(
    download: Make, server: FileServer, partial: Path, content: bytes, digest: str
) -> None:
    server.encoding = "gzip"
    assert download().run().sha256 == digest
    assert partial.read_bytes() == content
    assert not partial.with_suffix(".json").exists()


def test_an_unknown_encoding_is_an_error(download: Make, server: FileServer) -> None:
    server.encoding = "br"
    with pytest.raises(WeightsUnreachable, match=r"a\.ckpt: expected the file as it is, got it with the encoding br$"):
        download().run()


def test_an_unasked_304_is_retried(download: Make, server: FileServer, digest: str) -> None:
    server.unasked_304 = 1
    assert download().run().sha256 == digest
    server.unasked_304 = 10
    with pytest.raises(WeightsUnreachable, match="expected 200, got 304 Not Modified; gave up after 3 tries"):
        download().run()


def test_a_full_volume_keeps_no_partial_file(
    download: Make, partial: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    plainly = Path.open

    class Full:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

        def write(self, chunk: bytes) -> int:
            self._stream.write(chunk)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(path: Path, mode: str = "r", **options: Any) -> Any:
        stream = plainly(path, mode, **options)
        return Full(stream) if path == partial and mode == "wb" else stream

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(CacheFull, match="No space left on device"):
        download().run()
    assert not partial.exists()
    assert not partial.with_suffix(".json").exists()


def test_a_local_file_is_bounded_and_reserved(
    download: Make, tmp_path: Path, partial: Path, options: FetchSettings, reserved: list[int]
) -> None:
    (tmp_path / "b.ckpt").write_bytes(b"x" * 2000)
    url = (tmp_path / "b.ckpt").as_uri()
    with pytest.raises(WeightsTooLarge, match="expected at most 1000 bytes, got 2000"):
        download(url=url, settings=options.model_copy(update={"max_bytes": 1000})).run()
    assert reserved == []
    download(url=url).run()
    assert reserved == [2000]

    def full(needed: int) -> None:
        raise CacheFull(f"needs {needed}")

    partial.unlink()
    with pytest.raises(CacheFull, match="needs 2000"):
        Download(source_of(url, options), partial=partial, reserve=full).run()
    assert not partial.exists()


@pytest.mark.parametrize("path", ["", "/dev/zero", "/a%00b", "/dev/null/a"])
def test_a_local_path_that_is_no_file_is_an_error(download: Make, path: str) -> None:
    with pytest.raises(WeightsNotFound):
        download(url=f"file://{path}").run()


def test_a_local_path_on_another_host_is_an_error(download: Make) -> None:
    with pytest.raises(WeightsNotFound, match="expected file:///"):
        download(url="file://host/a.ckpt").run()


def test_a_local_pipe_is_an_error(download: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsNotFound, match="the path of a file"):
        download(url=(tmp_path / "pipe").as_uri()).run()


def test_the_notes_have_no_query(download: Make, server: FileServer, options: FetchSettings, partial: Path) -> None:
    server.cut_after = [100_000]
    with pytest.raises(WeightsTruncated):
        download(url=f"{server.url}/a.ckpt?signature=secret", settings=options.model_copy(update={"attempts": 1})).run()
    assert "secret" not in partial.with_suffix(".json").read_text()


def test_an_unforeseen_error_is_one_line(download: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines about https://host/a?signature=secret")

    monkeypatch.setattr(httpx.Client, "send", fail)
    with pytest.raises(WeightsUnreachable) as caught:
        download().run()
    assert caught.value.line.endswith("/a.ckpt: RuntimeError: two lines about https://host/a?…")
