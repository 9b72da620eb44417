"""From a URL to a verified blob."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import IO

import open_clip
import pytest
from support.file_server import FileServer

from cetacean_inference.errors import CacheFull, DigestMismatch, GateUnavailable, WeightsNotFound, WeightsUnreachable
from cetacean_inference.settings import FetchSettings, GateSettings
from cetacean_inference.weights import fetch as fetching
from cetacean_inference.weights.cache import WeightsCache, digest_of
from cetacean_inference.weights.fetch import fetch, gate_url
from cetacean_inference.weights.urls import resolve, sibling


@pytest.fixture
def url(server: FileServer) -> str:
    return f"{server.url}/a.ckpt"


def leftovers(cache: WeightsCache) -> list[str]:
    return [path.name for path in (cache.root / "incomplete").iterdir()]


def test_verified_bytes_are_kept(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str
) -> None:
    blob = fetch(url, sha256=digest, cache=cache, settings=options)
    assert (blob.url, blob.sha256) == (url, digest)
    assert blob.path.read_bytes() == content
    assert leftovers(cache) == []


def test_other_bytes_are_not(cache: WeightsCache, options: FetchSettings, url: str, digest: str) -> None:
    with pytest.raises(DigestMismatch) as caught:
        fetch(url, sha256="ab" * 32, cache=cache, settings=options)
    assert str(caught.value) == f"{url}: expected sha256:{'ab' * 32}, got sha256:{digest}"
    assert cache.find("ab" * 32) is None
    assert cache.find(digest) is None
    assert leftovers(cache) == []


def test_what_is_there_is_not_asked_for_again(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str, server: FileServer
) -> None:
    for _ in range(3):
        fetch(url, sha256=digest, cache=cache, settings=options)
    assert server.requests["a.ckpt"] == 1


def test_the_same_bytes_under_another_url_are_the_same_blob(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str, server: FileServer
) -> None:
    fetch(url, sha256=digest, cache=cache, settings=options)
    fetch(f"{server.url}/elsewhere.ckpt", sha256=digest, cache=cache, settings=options)
    assert server.requests.total() == 1


def test_a_damaged_blob_is_fetched_again(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str, server: FileServer
) -> None:
    blob = fetch(url, sha256=digest, cache=cache, settings=options)
    blob.path.write_bytes(b"damaged")
    assert fetch(url, sha256=digest, cache=cache, settings=options).path.read_bytes() == content
    assert server.requests["a.ckpt"] == 2


def test_a_part_that_was_damaged_is_not_built_upon(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str, server: FileServer
) -> None:
    server.cut_after = [100_000]
    with pytest.raises(Exception, match="gave up"):
        fetch(url, sha256=digest, cache=cache, settings=options.model_copy(update={"attempts": 1}))
    with cache.partial(digest).open("r+b") as stream:
        stream.write(b"damaged")
    assert fetch(url, sha256=digest, cache=cache, settings=options).path.read_bytes() == content
    assert server.ranges == [None, "bytes=100000-", None]


def test_without_a_digest_the_server_says_whether_it_is_current(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str, server: FileServer
) -> None:
    assert fetch(url, sha256=None, cache=cache, settings=options).sha256 == digest
    assert fetch(url, sha256=None, cache=cache, settings=options).sha256 == digest
    assert "If-None-Match" in server.headers[1]
    (server.directory / "a.ckpt").write_bytes(b"new weights")
    found = fetch(url, sha256=None, cache=cache, settings=options)
    assert found.sha256 == hashlib.sha256(b"new weights").hexdigest()


def test_without_a_digest_and_without_the_server_what_is_there_serves(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    digest: str,
    server: FileServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fetch(url, sha256=None, cache=cache, settings=options)
    server.statuses = [503] * 10
    with caplog.at_level(logging.WARNING):
        assert fetch(url, sha256=None, cache=cache, settings=options).sha256 == digest
    assert "going on with what was fetched before" in caplog.text


def test_nothing_there_and_no_server(cache: WeightsCache, options: FetchSettings, url: str, server: FileServer) -> None:
    server.statuses = [503] * 10
    with pytest.raises(WeightsUnreachable):
        fetch(url, sha256=None, cache=cache, settings=options)


def test_what_was_taken_away_is_not_served_from_the_cache(
    cache: WeightsCache, options: FetchSettings, url: str, server: FileServer
) -> None:
    fetch(url, sha256=None, cache=cache, settings=options)
    (server.directory / "a.ckpt").unlink()
    with pytest.raises(WeightsNotFound):
        fetch(url, sha256=None, cache=cache, settings=options)


def test_of_several_pods_one_downloads(
    cache: WeightsCache, url: str, digest: str, server: FileServer, content: bytes
) -> None:
    pod = (
        "import sys; from pathlib import Path;"
        "from cetacean_inference.settings import FetchSettings;"
        "from cetacean_inference.weights.cache import WeightsCache;"
        "from cetacean_inference.weights.fetch import fetch;"
        "cache = WeightsCache(Path(sys.argv[1]), limit_bytes=10**9, keep_seconds=600); cache.prepare();"
        "print('ready', flush=True); sys.stdin.readline();"
        "print(fetch(sys.argv[2], sha256=sys.argv[3], cache=cache, settings=FetchSettings()).sha256)"
    )
    command = [sys.executable, "-c", pod, str(cache.root), url, digest]
    pods = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)}
        )
        for _ in range(2)
    ]
    for process in pods:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert [process.communicate("go\n", timeout=60)[0].strip() for process in pods] == [digest, digest]
    assert server.requests["a.ckpt"] == 1
    path = cache.find(digest)
    assert path is not None
    assert path.read_bytes() == content


def test_files_beside_a_url() -> None:
    for url, beside in {
        "https://host.test/m/resolve/main/a.ckpt": "https://host.test/m/resolve/main/s.csv",
        "https://host.test/m/a.ckpt?token=1#x": "https://host.test/m/s.csv?token=1",
        "file:///models/a.ckpt": "file:///models/s.csv",
        "hf://o/r/deep/a.ckpt@v1": "hf://o/r/deep/s.csv@v1",
        "hf://o/r/a.ckpt": "hf://o/r/s.csv",
    }.items():
        assert sibling(url, "s.csv") == beside


def test_an_address_of_the_hub() -> None:
    assert (
        resolve("hf://o/r/deep/a.ckpt@v1", hf_endpoint="https://hub.test/")
        == "https://hub.test/o/r/resolve/v1/deep/a.ckpt"
    )


def test_the_gates_weights() -> None:
    assert gate_url(GateSettings()).startswith("hf://laion/CLIP-ViT-B-32-laion2B-s34B-b79K/")
    assert (GateSettings().architecture, GateSettings().pretrained) == fetching.USUAL_GATE
    known = open_clip.get_pretrained_cfg(*fetching.USUAL_GATE)
    assert f"hf://{known['hf_hub']}{open_clip.pretrained.HF_SAFE_WEIGHTS_NAME}" == fetching.USUAL_GATE_URL
    assert gate_url(GateSettings(weights_url="https://weights.test/gate.pt")) == "https://weights.test/gate.pt"
    with pytest.raises(GateUnavailable, match="expected a pretrained tag of ViT-B-32, got 'no_such_tag'"):
        gate_url(GateSettings(pretrained="no_such_tag"))


def test_a_token_is_the_hubs_and_nobody_elses(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    digest: str,
    server: FileServer,
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(url, sha256=digest, cache=cache, settings=options)
    assert "Authorization" not in server.headers[0]
    hub = server.directory / "o" / "r" / "resolve" / "main"
    hub.mkdir(parents=True)
    (hub / "b.ckpt").write_bytes(b"from the hub")
    settings = options.model_copy(update={"hf_endpoint": server.url})
    fetch("hf://o/r/b.ckpt", sha256=None, cache=cache, settings=settings)
    assert server.headers[1]["Authorization"] == "Bearer hf_secret"


# --- beside other pods -----------------------------------------------------------------------------------------------


def while_hashed(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Have something happen while what is in the cache is verified."""

    def slow(stream: IO[bytes]) -> str:
        found = digest_of(stream)
        happens()
        return found

    monkeypatch.setattr(fetching, "digest_of", slow)


def test_what_is_being_verified_is_not_evicted(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    content: bytes,
    digest: str,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os.utime(fetch(url, sha256=digest, cache=cache, settings=options).path, (0, 0))
    first, other = (WeightsCache(cache.root, limit_bytes=500_000, keep_seconds=0) for _ in range(2))

    def needs_room() -> None:
        with pytest.raises(CacheFull):
            other.make_room(300_000, what="another model")

    while_hashed(monkeypatch, needs_room)
    assert fetch(url, sha256=digest, cache=first, settings=options).path.read_bytes() == content
    assert server.requests["a.ckpt"] == 1


@pytest.mark.parametrize("known", [True, False])
def test_what_was_evicted_while_it_was_verified_is_fetched_again(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    content: bytes,
    digest: str,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    known: bool,
) -> None:
    sha256 = digest if known else None
    fetch(url, sha256=sha256, cache=cache, settings=options)
    while_hashed(monkeypatch, lambda: cache.discard(digest))  # as on a volume without locks
    assert fetch(url, sha256=sha256, cache=cache, settings=options).path.read_bytes() == content
    assert server.requests["a.ckpt"] == 2
    assert "If-None-Match" not in server.headers[1]


def test_what_is_being_evicted_when_it_is_verified_is_fetched_again(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str, server: FileServer
) -> None:
    path = fetch(url, sha256=digest, cache=cache, settings=options).path
    with path.open("r+b") as evicted:
        fcntl.flock(evicted, fcntl.LOCK_EX)
        assert fetch(url, sha256=digest, cache=cache, settings=options).path.read_bytes() == content
    assert server.requests["a.ckpt"] == 2


def test_on_a_volume_without_locks_what_is_there_is_used(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    digest: str,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch(url, sha256=digest, cache=cache, settings=options)

    def no_locks(_: object, operation: int) -> None:
        if operation & fcntl.LOCK_SH:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    fetch(url, sha256=digest, cache=cache, settings=options)
    assert server.requests["a.ckpt"] == 1


# --- volumes that fail -----------------------------------------------------------------------------------------------


def fails(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["remember", "adopt", "use", "lock"])
def test_a_volume_that_fails_ends_in_one_line(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(cache, step, fails)
    with pytest.raises(CacheFull) as caught:
        fetch(url, sha256=digest, cache=cache, settings=options)
    assert caught.value.line == f"CacheFull: {url}: cannot write in {cache.root}: No space left on device"
    assert isinstance(caught.value.__cause__, OSError)


def test_who_waits_too_long_for_another_is_not_told_of_a_full_volume(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str
) -> None:
    impatient = options.model_copy(update={"lock_timeout_seconds": 0.01})
    other = WeightsCache(cache.root, limit_bytes=1, keep_seconds=0)
    with (
        other.lock(digest, timeout_seconds=1),
        pytest.raises(WeightsUnreachable, match="another process fetched it"),
    ):
        fetch(url, sha256=digest, cache=cache, settings=impatient)
