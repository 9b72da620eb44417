"""Fetching: from a URL to a verified blob."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path

import open_clip
import pytest
from support.file_server import FileServer
from support.inference_world import make_settings
from support.tiny_weights import sections, write_weights
from support.waiting import wait_until

from cetacean_inference.errors import (
    CacheFull,
    ConfigInvalid,
    DigestMismatch,
    FatalError,
    GateUnavailable,
    WeightsDenied,
    WeightsEvicted,
    WeightsNotFound,
    WeightsTooLarge,
    WeightsUnreachable,
)
from cetacean_inference.settings import FetchSettings, GateSettings
from cetacean_inference.weights import fetch as fetching
from cetacean_inference.weights.blob import digest_of
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import fetch, fetch_all
from cetacean_inference.weights.file_sets import DEFAULT_GATE, DEFAULT_GATE_URL, gate_url
from cetacean_inference.weights.hub import Access, access_to
from cetacean_inference.weights.sources import sibling
from cetacean_inference.weights.sources.hub import HubSource
from cetacean_inference.weights.verified import VerifiedFiles


@pytest.fixture
def url(server: FileServer) -> str:
    return f"{server.url}/a.ckpt"


def leftovers(cache: WeightsCache) -> list[str]:
    return [path.name for path in (cache.root / "incomplete").iterdir()]


def test_a_file_with_the_expected_digest_is_stored(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str
) -> None:
    blob = fetch(url, sha256=digest, cache=cache, settings=options)
    assert (blob.url, blob.sha256) == (url, digest)
    assert blob.path.read_bytes() == content
    assert leftovers(cache) == []


def test_a_file_with_another_digest_is_not_stored(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str
) -> None:
    with pytest.raises(DigestMismatch) as caught:
        fetch(url, sha256="ab" * 32, cache=cache, settings=options)
    assert str(caught.value) == f"{url}: expected sha256:{'ab' * 32}, got sha256:{digest}"
    assert cache.find("ab" * 32) is None
    assert cache.find(digest) is None
    assert leftovers(cache) == []


def test_a_cached_file_is_not_requested_again(
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


def test_a_damaged_partial_file_is_downloaded_from_the_start(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str, server: FileServer
) -> None:
    server.cut_after = [100_000]
    with pytest.raises(Exception, match="gave up"):
        fetch(url, sha256=digest, cache=cache, settings=options.model_copy(update={"attempts": 1}))
    with cache.partial(digest).open("r+b") as stream:
        stream.write(b"damaged")
    assert fetch(url, sha256=digest, cache=cache, settings=options).path.read_bytes() == content
    assert server.ranges == [None, "bytes=100000-", None]


def test_without_a_digest_a_conditional_request_checks_the_cached_file(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str, server: FileServer
) -> None:
    assert fetch(url, sha256=None, cache=cache, settings=options).sha256 == digest
    assert fetch(url, sha256=None, cache=cache, settings=options).sha256 == digest
    assert "If-None-Match" in server.headers[1]
    (server.directory / "a.ckpt").write_bytes(b"new weights")
    found = fetch(url, sha256=None, cache=cache, settings=options)
    assert found.sha256 == hashlib.sha256(b"new weights").hexdigest()


@pytest.fixture
def tight(tmp_path: Path, content: bytes) -> WeightsCache:
    """A cache with room for the file, and not for it twice."""
    cache = WeightsCache(tmp_path / "tight", limit_bytes=len(content) * 3 // 2, keep_unused_seconds=600)
    cache.prepare()
    return cache


def test_a_file_with_a_date_and_no_etag_needs_no_room_twice(
    tight: WeightsCache, options: FetchSettings, url: str, digest: str, server: FileServer
) -> None:
    server.strong_etag = False
    for _ in range(3):
        assert fetch(url, sha256=None, cache=tight, settings=options).sha256 == digest
    assert {"If-None-Match", "If-Modified-Since"}.isdisjoint(server.headers[-1])


@pytest.mark.parametrize(
    ("modified", "length"),
    [(1000.0, 300_000), (-1000.0, 300_000), (0.0, 300_001)],
    ids=["newer", "older, as a version that was restored", "of another length"],
)
def test_a_file_of_another_date_or_length_is_downloaded(
    cache: WeightsCache, options: FetchSettings, url: str, server: FileServer, modified: float, length: int
) -> None:
    server.strong_etag, server.modified = False, 5000.0
    fetch(url, sha256=None, cache=cache, settings=options)
    changed = os.urandom(length)
    (server.directory / "a.ckpt").write_bytes(changed)
    server.modified += modified
    assert fetch(url, sha256=None, cache=cache, settings=options).path.read_bytes() == changed


def test_a_file_of_the_second_of_its_answer_is_downloaded_again(
    cache: WeightsCache, options: FetchSettings, url: str, server: FileServer
) -> None:
    server.strong_etag, server.modified = False, time.time() + 1
    fetch(url, sha256=None, cache=cache, settings=options)
    changed = os.urandom(300_000)
    (server.directory / "a.ckpt").write_bytes(changed)
    assert fetch(url, sha256=None, cache=cache, settings=options).path.read_bytes() == changed


def test_a_file_that_is_sent_again_with_the_same_etag_needs_no_room_twice(
    tight: WeightsCache, options: FetchSettings, url: str, digest: str, server: FileServer
) -> None:
    server.conditions_work = False
    for _ in range(2):
        assert fetch(url, sha256=None, cache=tight, settings=options).sha256 == digest
    (server.directory / "a.ckpt").write_bytes(b"another")
    assert fetch(url, sha256=None, cache=tight, settings=options).path.read_bytes() == b"another"


def test_without_a_digest_the_cached_file_is_used_if_the_server_is_unreachable(
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
    assert "using the cached file" in caplog.text


def test_an_unreachable_server_is_an_error_if_nothing_is_cached(
    cache: WeightsCache, options: FetchSettings, url: str, server: FileServer
) -> None:
    server.statuses = [503] * 10
    with pytest.raises(WeightsUnreachable):
        fetch(url, sha256=None, cache=cache, settings=options)


def test_a_file_that_the_server_removed_is_not_used_from_the_cache(
    cache: WeightsCache, options: FetchSettings, url: str, server: FileServer
) -> None:
    fetch(url, sha256=None, cache=cache, settings=options)
    (server.directory / "a.ckpt").unlink()
    with pytest.raises(WeightsNotFound):
        fetch(url, sha256=None, cache=cache, settings=options)


def test_only_one_of_several_pods_downloads(
    cache: WeightsCache, url: str, digest: str, server: FileServer, content: bytes, tmp_path: Path
) -> None:
    pod = (
        "import logging, sys; from pathlib import Path;"
        "from cetacean_inference.settings import FetchSettings;"
        "from cetacean_inference.weights.cache import WeightsCache;"
        "from cetacean_inference.weights.fetch import fetch;"
        "cache = WeightsCache(Path(sys.argv[1]), limit_bytes=10**9, keep_unused_seconds=600); cache.prepare();"
        "logging.basicConfig(); logging.getLogger('filelock').setLevel(logging.DEBUG);"
        "print(fetch(sys.argv[2], sha256=sys.argv[3], cache=cache, settings=FetchSettings()).sha256)"
    )
    command = [sys.executable, "-c", pod, str(cache.root), url, digest]
    server.hang = threading.Event()
    logs = [tmp_path / "one.log", tmp_path / "other.log"]

    def one_waits_or_both_download() -> bool:
        waits = any("not acquired" in log.read_text() for log in logs)
        return (waits and server.requests["a.ckpt"] > 0) or server.requests["a.ckpt"] > 1

    with ExitStack() as opened:
        opened.callback(server.hang.set)
        pods = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=opened.enter_context(log.open("w")),
                text=True,
                env={"PYTHONPATH": ":".join(sys.path)},
            )
            for log in logs
        ]
        wait_until(one_waits_or_both_download, within=60)
        assert server.requests["a.ckpt"] == 1
        server.hang.set()
        assert [process.communicate(timeout=60)[0].strip() for process in pods] == [digest, digest]
    assert server.requests["a.ckpt"] == 1
    path = cache.find(digest)
    assert path is not None
    assert path.read_bytes() == content


def test_urls_of_files_in_the_same_folder() -> None:
    for url, beside in {
        "https://host.test/m/resolve/main/a.ckpt": "https://host.test/m/resolve/main/s.csv",
        "https://host.test/m/a.ckpt?token=1#x": "https://host.test/m/s.csv?token=1",
        "file:///models/a.ckpt": "file:///models/s.csv",
        "hf://o/r/deep/a.ckpt@v1": "hf://o/r/deep/s.csv@v1",
        "hf://o/r/a.ckpt": "hf://o/r/s.csv",
    }.items():
        assert sibling(url, "s.csv") == beside


def test_a_hub_url_is_resolved_to_https() -> None:
    source = HubSource("hf://o/r/deep/a.ckpt@v1", FetchSettings(hf_endpoint="https://hub.test/"))
    assert source.requested() == "https://hub.test/o/r/resolve/v1/deep/a.ckpt"


def test_the_url_of_the_gates_weights() -> None:
    assert gate_url(GateSettings()).startswith("hf://laion/CLIP-ViT-B-32-laion2B-s34B-b79K/")
    assert (GateSettings().architecture, GateSettings().pretrained) == DEFAULT_GATE
    known = open_clip.get_pretrained_cfg(*DEFAULT_GATE)
    assert f"hf://{known['hf_hub']}{open_clip.pretrained.HF_SAFE_WEIGHTS_NAME}" == DEFAULT_GATE_URL
    assert gate_url(GateSettings(weights_url="https://weights.test/gate.pt")) == "https://weights.test/gate.pt"
    with pytest.raises(GateUnavailable, match="expected a pretrained tag of ViT-B-32, got 'no_such_tag'"):
        gate_url(GateSettings(pretrained="no_such_tag"))


def test_the_hubs_token_is_sent_to_the_hub_only(
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


@pytest.mark.parametrize("address", ["{hub}/o/r/resolve/main/b.ckpt", "hf://o/r/b.ckpt"])
def test_the_hubs_token_is_sent_for_all_urls_under_its_endpoint(
    cache: WeightsCache, options: FetchSettings, server: FileServer, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub = f"{server.url}/hub"
    folder = server.directory / "hub/o/r/resolve/main"
    folder.mkdir(parents=True)
    (folder / "b.ckpt").write_bytes(b"from the hub")
    settings = options.model_copy(update={"hf_endpoint": f"{hub}/"})
    fetch(address.format(hub=hub), sha256=None, cache=cache, settings=settings)
    assert server.headers[0]["Authorization"] == "Bearer hf_secret"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://hub.test.evil.test/o/r/a", "https://hub.test"),
        ("https://hub.test@evil.test/o/r/a", "https://hub.test"),
        ("http://hub.test/o/r/a", "https://hub.test"),
        ("https://hub.test:8443/o/r/a", "https://hub.test"),
        ("https://hub.test/other/a", "https://hub.test/hub"),
        ("https://hub.test/hubs/a", "https://hub.test/hub"),
        ("file:///o/r/a", "https://hub.test"),
    ],
)
def test_the_hubs_token_is_sent_to_no_other_place(monkeypatch: pytest.MonkeyPatch, url: str, endpoint: str) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert access_to(url, hf_endpoint=endpoint) == Access({}, "")


def test_the_hubs_token_is_not_sent_to_where_the_hub_redirects(
    cache: WeightsCache, options: FetchSettings, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.redirects = {"o/r/resolve/main/b.ckpt": f"{elsewhere}/a.ckpt"}
    settings = options.model_copy(update={"hf_endpoint": server.url})
    fetch("hf://o/r/b.ckpt", sha256=None, cache=cache, settings=settings)
    assert [headers.get("Authorization") for headers in server.headers] == ["Bearer hf_secret", None]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("token", "message"),
    [("", "is gated or private, or there is none: set HF_TOKEN"), ("hf_secret", "HF_TOKEN gives no access to it")],
)
def test_a_refusal_of_the_hub_says_what_is_missing(
    cache: WeightsCache,
    options: FetchSettings,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    token: str,
    message: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("cetacean_inference.weights.hub.get_token", lambda: token or None)
    server.statuses = [status]
    settings = options.model_copy(update={"hf_endpoint": server.url})
    with pytest.raises(WeightsDenied, match=rf"hf://o/r/b\.ckpt: expected 200, got {status} .*{message}") as caught:
        fetch("hf://o/r/b.ckpt", sha256=None, cache=cache, settings=settings)
    assert "hf_secret" not in caught.value.line


@pytest.mark.parametrize("token", ["hf_sécret", "hf secret", "hf\x00secret", "hf_\N{SPOUTING WHALE}"])
def test_a_token_that_no_header_can_have_is_an_error(
    cache: WeightsCache, options: FetchSettings, server: FileServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setattr("cetacean_inference.weights.hub.get_token", lambda: token)
    settings = options.model_copy(update={"hf_endpoint": server.url})
    with pytest.raises(ConfigInvalid) as caught:
        fetch("hf://o/r/b.ckpt", sha256=None, cache=cache, settings=settings)
    assert (
        caught.value.line == "ConfigInvalid: HF_TOKEN: expected printable ASCII characters without spaces, got others"
    )


def test_a_file_of_the_token_that_cannot_be_read_is_an_error(
    cache: WeightsCache, options: FetchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "token")

    monkeypatch.setattr("cetacean_inference.weights.hub.get_token", unreadable)
    with pytest.raises(ConfigInvalid, match="HF_TOKEN: expected a token of the Hub, got an error: PermissionError"):
        fetch("hf://o/r/b.ckpt", sha256=None, cache=cache, settings=options)


@pytest.mark.parametrize("url", ["hf://o/r--x..y/b.ckpt", "hf://o", "http://[::1/a.ckpt", "http://host:port/a.ckpt"])
def test_an_impossible_url_is_an_error_of_one_line(cache: WeightsCache, options: FetchSettings, url: str) -> None:
    with pytest.raises(FatalError) as caught:
        fetch(url, sha256=None, cache=cache, settings=options)
    assert caught.value.line.isprintable()
    assert url in caught.value.line


def test_an_unasked_304_is_an_error(cache: WeightsCache, options: FetchSettings, url: str, server: FileServer) -> None:
    server.unasked_304 = 10
    with pytest.raises(WeightsUnreachable, match="expected 200, got 304"):
        fetch(url, sha256=None, cache=cache, settings=options)


def test_a_query_is_in_no_message_and_in_no_file_of_the_cache(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    digest: str,
    server: FileServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    signed = f"{url}?signature=secret"
    with caplog.at_level(logging.DEBUG, logger="cetacean_inference"):
        blob = fetch(signed, sha256=digest, cache=cache, settings=options)
        fetch(signed, sha256=digest, cache=cache, settings=options)
        fetch(signed, sha256=None, cache=cache, settings=options)
        server.statuses = [503] * 3
        fetch(signed, sha256=None, cache=cache, settings=options)
        with pytest.raises(DigestMismatch) as mismatch:
            fetch(signed, sha256="ab" * 32, cache=cache, settings=options)
        (server.directory / "a.ckpt").unlink()
        with pytest.raises(WeightsNotFound) as missing:
            fetch(signed, sha256=None, cache=cache, settings=options)
    assert blob.url == f"{url}?…"
    assert f"{url}?…" in caplog.text
    assert "secret" not in f"{caplog.text} {mismatch.value} {missing.value}"
    for path in cache.root.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()


@pytest.mark.parametrize(
    "content", ['{"url": "u", "sha256": "DIGEST", "more": 1}', '{"url": "u", "sha256": "../../a"}', "[]", "null", "{"]
)
def test_a_ref_that_this_version_does_not_understand_is_ignored(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str, content: str
) -> None:
    fetch(url, sha256=None, cache=cache, settings=options)
    (ref,) = (cache.root / "refs").iterdir()
    ref.write_text(content.replace("DIGEST", digest))
    assert cache.read_ref(url) is None
    assert fetch(url, sha256=None, cache=cache, settings=options).sha256 == digest


def test_leftovers_of_a_killed_conversion_are_removed(cache: WeightsCache) -> None:
    (cache.root / "incomplete" / "networks").mkdir()
    (cache.root / "incomplete" / "networks" / "old").write_text("half")
    with cache.staging_directory("networks") as staging:
        assert list(staging.iterdir()) == []
        (staging / "new").write_text("whole")
    assert [path.name for path in (cache.derived / "networks").iterdir()] == ["new"]


def test_an_evicted_file_is_reported_in_one_line(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str
) -> None:
    blob = fetch(url, sha256=digest, cache=cache, settings=options)
    blob.path.unlink()
    with VerifiedFiles(cache) as verified, pytest.raises(WeightsEvicted, match=r"a\.ckpt: evicted from the cache"):
        verified.open(blob)


def test_the_bytes_that_were_hashed_are_the_bytes_that_are_read(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    content: bytes,
    digest: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blob = fetch(url, sha256=digest, cache=cache, settings=options)

    def then_changed(stream: BufferedReader) -> str:
        found = digest_of(stream)
        blob.path.write_bytes(b"changed by another pod")
        return found

    monkeypatch.setattr("cetacean_inference.weights.verified.digest_of", then_changed)
    with VerifiedFiles(cache) as verified:
        assert verified.read(blob, max_bytes=len(content)).read() == content
    with VerifiedFiles(cache) as verified, pytest.raises(DigestMismatch, match="in the cache"):
        verified.read(blob, max_bytes=len(content))


def test_a_file_that_is_read_into_memory_is_bounded(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str
) -> None:
    blob = fetch(url, sha256=digest, cache=cache, settings=options)
    with VerifiedFiles(cache) as verified, pytest.raises(WeightsTooLarge, match="at most 299999 bytes, got more"):
        verified.read(blob, max_bytes=len(content) - 1)


# --- the files of a model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["encoder_classes.npy", "species_map.csv", "gate.json"])
def test_the_small_files_of_a_model_have_a_bound_of_their_own(tmp_path: Path, name: str) -> None:
    write_weights(tmp_path)
    given = sections(tmp_path.as_uri())
    bound = max((tmp_path / small).stat().st_size for small in ("encoder_classes.npy", "species_map.csv", "gate.json"))
    given["fetch"] |= {"max_companion_bytes": bound}
    settings = make_settings(tmp_path / "pod", **given)
    fetch_all(settings)
    with (tmp_path / name).open("ab") as stream:
        stream.truncate(bound + 1)
    with pytest.raises(WeightsTooLarge, match=f"{name}: expected at most {bound} bytes, got {bound + 1} or more"):
        fetch_all(settings)


# --- with other pods -------------------------------------------------------------------------------------------------


def while_hashed(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Call `happens` while a cached file is verified."""

    def slow(stream: BufferedReader) -> str:
        found = digest_of(stream)
        happens()
        return found

    monkeypatch.setattr(fetching, "digest_of", slow)


def test_a_file_being_verified_is_not_evicted(
    cache: WeightsCache,
    options: FetchSettings,
    url: str,
    content: bytes,
    digest: str,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os.utime(fetch(url, sha256=digest, cache=cache, settings=options).path, (0, 0))
    first, other = (WeightsCache(cache.root, limit_bytes=500_000, keep_unused_seconds=0) for _ in range(2))

    def needs_room() -> None:
        with pytest.raises(CacheFull):
            other.make_room(300_000, purpose="another model")

    while_hashed(monkeypatch, needs_room)
    assert fetch(url, sha256=digest, cache=first, settings=options).path.read_bytes() == content
    assert server.requests["a.ckpt"] == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_another_pod_repairs_while_its_damage_is_noticed_stays(
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
    """The other pod knows the digest; the slow one knows it too, on a volume without locks, or only the URL."""
    path = fetch(url, sha256=None, cache=cache, settings=options).path
    path.write_bytes(b"damaged")
    repaired: list[int] = []

    def repair() -> None:
        if not repaired:
            repaired.append(1)
            partial = cache.partial("another pod's")
            partial.write_bytes(content)
            repaired[0] = cache.commit(partial, digest).stat().st_ino

    while_hashed(monkeypatch, repair)
    blob = fetch(url, sha256=digest if known else None, cache=cache, settings=options)
    assert blob.path.read_bytes() == content
    if not known:
        assert blob.path.stat().st_ino == repaired[0]
        assert server.requests["a.ckpt"] == 2, "the second one only asks if the file has changed"


def test_a_damaged_file_is_left_to_the_pod_that_fetches_it_by_its_digest(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str
) -> None:
    path = fetch(url, sha256=None, cache=cache, settings=options).path
    path.write_bytes(b"damaged")
    damaged = path.stat().st_ino
    with cache.lock(digest, timeout_seconds=1), path.open("rb") as kept:
        assert fetch(url, sha256=None, cache=cache, settings=options).path.read_bytes() == content
        assert os.fstat(kept.fileno()).st_nlink == 0, "replaced, not removed before"
    assert path.stat().st_ino != damaged


def test_a_damaged_file_gives_its_room_to_its_successor(
    tight: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str
) -> None:
    for sha256 in (None, digest):
        path = fetch(url, sha256=sha256, cache=tight, settings=options).path
        path.write_bytes(content[:-1] + b"x")
        assert fetch(url, sha256=sha256, cache=tight, settings=options).path.read_bytes() == content


@pytest.mark.parametrize("known", [True, False])
def test_a_file_evicted_while_it_was_verified_is_fetched_again(
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
    path = fetch(url, sha256=sha256, cache=cache, settings=options).path
    while_hashed(monkeypatch, lambda: path.unlink(missing_ok=True))  # as on a volume without locks
    assert fetch(url, sha256=sha256, cache=cache, settings=options).path.read_bytes() == content
    assert server.requests["a.ckpt"] == 2
    assert "If-None-Match" not in server.headers[1]


def test_a_file_being_evicted_when_it_is_verified_is_fetched_again(
    cache: WeightsCache, options: FetchSettings, url: str, content: bytes, digest: str, server: FileServer
) -> None:
    path = fetch(url, sha256=digest, cache=cache, settings=options).path
    with path.open("r+b") as evicted:
        fcntl.flock(evicted, fcntl.LOCK_EX)
        assert fetch(url, sha256=digest, cache=cache, settings=options).path.read_bytes() == content
    assert server.requests["a.ckpt"] == 2


def test_on_a_volume_without_locks_the_cached_file_is_used(
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


def disk_full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write_ref", "commit", "mark_used", "lock"])
def test_an_error_of_the_volume_is_reported_in_one_line(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(cache, step, disk_full)
    with pytest.raises(CacheFull) as caught:
        fetch(url, sha256=digest, cache=cache, settings=options)
    assert caught.value.line == f"CacheFull: {url}: cannot write in {cache.root}: No space left on device"
    assert isinstance(caught.value.__cause__, OSError)


def test_waiting_too_long_for_another_pod_is_not_reported_as_a_full_volume(
    cache: WeightsCache, options: FetchSettings, url: str, digest: str
) -> None:
    impatient = options.model_copy(update={"lock_timeout_seconds": 0.01})
    other = WeightsCache(cache.root, limit_bytes=1, keep_unused_seconds=0)
    with (
        other.lock(digest, timeout_seconds=1),
        pytest.raises(WeightsUnreachable, match="another process fetched it"),
    ):
        fetch(url, sha256=digest, cache=cache, settings=impatient)
