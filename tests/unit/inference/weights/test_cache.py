"""What is kept, and what has to go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.weights_cache import adopt, blobs, derive, opened

from cetacean_inference.errors import CacheFull, WeightsUnreachable
from cetacean_inference.weights.cache import RECORD_FILE, Ref, WeightsCache, write_atomically


def test_a_blob_stands_under_its_digest(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    digest = adopt(cache, b"weights")
    path = cache.find(digest)
    assert path is not None
    assert path.read_bytes() == b"weights"
    assert path.stat().st_mode & 0o777 == 0o644
    assert cache.find("ab" * 32) is None


def test_a_url_is_remembered_as_long_as_its_blob_is_there(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    digest = adopt(cache, b"weights")
    ref = Ref("https://weights.test/a", digest, '"etag"')
    cache.remember(ref)
    assert opened(tmp_path).ref("https://weights.test/a") == ref
    assert cache.ref("https://weights.test/b") is None
    cache.discard(digest)
    assert cache.ref("https://weights.test/a") is None


def test_what_is_unused_longest_goes_first(tmp_path: Path) -> None:
    filled = opened(tmp_path)
    oldest, middle, newest = (adopt(filled, bytes([n]) * 300, age=age) for n, age in ((1, 900), (2, 600), (3, 300)))
    opened(tmp_path).make_room(300, what="new")
    assert blobs(tmp_path) == {middle, newest}
    assert oldest not in blobs(tmp_path)


def test_nothing_goes_while_there_is_room(tmp_path: Path) -> None:
    digest = adopt(opened(tmp_path), b"x" * 300)
    opened(tmp_path).make_room(700, what="new")
    assert blobs(tmp_path) == {digest}


def test_what_was_used_lately_stays(tmp_path: Path) -> None:
    digest = adopt(opened(tmp_path), b"x" * 300, age=100)
    with pytest.raises(
        CacheFull, match=r"needs 800 bytes, expected at most 1000.*got 300 bytes of files that are in use"
    ):
        opened(tmp_path, keep_seconds=600).make_room(800, what="new")
    assert blobs(tmp_path) == {digest}


def test_what_another_process_serves_from_stays(tmp_path: Path) -> None:
    digest = adopt(opened(tmp_path), b"x" * 300)
    holder = (
        "import sys; from pathlib import Path; from cetacean_inference.weights.cache import WeightsCache;"
        "cache = WeightsCache(Path(sys.argv[1]), limit_bytes=1000, keep_seconds=0);"
        "stream = cache.hold(sys.argv[2]); print('holding', flush=True); sys.stdin.read(); stream.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path), digest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        # Holding it counts as a use; only the lock is to decide here.
        os.utime(tmp_path / "blobs" / "sha256" / digest, (0, 0))
        with pytest.raises(CacheFull):
            opened(tmp_path).make_room(900, what="new")
        process.communicate("")
    assert blobs(tmp_path) == {digest}
    opened(tmp_path).make_room(900, what="new")
    assert blobs(tmp_path) == set()


def test_what_was_derived_goes_like_the_rest(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    older, newer = derive(cache, "networks-a"), derive(cache, "networks-b", age=100)
    digest = adopt(cache, b"x" * 300, age=500)
    opened(tmp_path).make_room(300, what="new")
    assert (older.exists(), newer.exists(), blobs(tmp_path)) == (False, True, {digest})
    opened(tmp_path).make_room(600, what="new")
    assert (newer.exists(), blobs(tmp_path)) == (True, set())


def test_what_was_derived_stays_while_it_is_used(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    directory = derive(cache, "networks-a")
    held = cache.hold_derived("networks-a")
    assert held is not None
    with held:
        assert cache.hold_derived("networks-b") is None
        # Holding it counts as a use; only the lock is to decide here.
        os.utime(directory / RECORD_FILE, (0, 0))
        with pytest.raises(CacheFull):
            opened(tmp_path).make_room(900, what="new")
    assert directory.exists()
    opened(tmp_path).make_room(900, what="new")
    assert not directory.exists()


def test_small_files_that_were_derived_count_and_go_like_the_rest(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    texts = cache.derived / "text-embeddings.safetensors"
    texts.write_bytes(b"x" * 300)
    os.utime(texts, (0, 0))
    digest = adopt(cache, b"x" * 300)
    opened(tmp_path).make_room(400, what="new")
    assert (texts.exists(), blobs(tmp_path)) == (True, {digest})
    opened(tmp_path).make_room(500, what="new")
    assert (texts.exists(), blobs(tmp_path)) == (False, {digest})


def leave_half_done(cache: WeightsCache, key: str, *, age: float = 1000.0) -> Path:
    """300 bytes of a download that was interrupted."""
    partial = cache.partial(key)
    partial.write_bytes(b"x" * 300)
    when = partial.stat().st_mtime - age
    os.utime(partial, (when, when))
    return partial


def test_what_was_left_half_done_counts_and_goes_like_the_rest(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    download = leave_half_done(cache, "https://weights.test/a")
    staging = tmp_path / "incomplete" / "networks-a"
    staging.mkdir()
    (staging / "gate.bin").write_bytes(b"x" * 300)
    os.utime(staging, (0, 0))
    opened(tmp_path).make_room(400, what="new")
    assert download.exists()
    assert staging.exists()
    opened(tmp_path).make_room(401, what="new")
    assert (staging.exists(), download.exists()) == (False, True)
    opened(tmp_path).make_room(701, what="new")
    assert not download.exists()


def test_what_is_being_downloaded_stays(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    download = leave_half_done(cache, "https://weights.test/a")
    with cache.lock("https://weights.test/a", timeout_seconds=1), pytest.raises(CacheFull):
        opened(tmp_path).make_room(701, what="new")
    assert download.exists()
    fresh = leave_half_done(cache, "https://weights.test/b", age=1)
    with pytest.raises(CacheFull):
        opened(tmp_path, keep_seconds=60).make_room(999, what="new")
    assert fresh.exists()


def test_what_is_half_derived_is_not_there(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    with pytest.raises(IsADirectoryError), cache.staged("networks-a") as staging:
        staging.write_text("fails half way", encoding="utf-8")
    assert not (cache.derived / "networks-a").exists()
    assert list((tmp_path / "incomplete").iterdir()) == []


def test_what_is_derived_anew_takes_the_place_of_what_was(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    derive(cache, "networks-a")
    with cache.staged("networks-a") as staging:
        assert list(staging.iterdir()) == []
        (staging / "new").touch()
    assert [entry.name for entry in (cache.derived / "networks-a").iterdir()] == ["new"]


def test_what_this_process_uses_stays(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    digest = adopt(cache, b"x" * 300)
    with pytest.raises(CacheFull):
        cache.make_room(900, what="new")
    assert blobs(tmp_path) == {digest}


def test_more_than_the_volume_holds(tmp_path: Path) -> None:
    with pytest.raises(CacheFull, match="bytes free"):
        opened(tmp_path, limit=2**62).make_room(2**61, what="new")


def test_holding_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(tmp_path).hold("ab" * 32)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheFull, match="expected a writable directory"):
        opened(tmp_path / "file")


def test_who_waits_too_long_for_another_says_so(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.lock("https://weights.test/a", timeout_seconds=1):
            holding.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(30)
    try:
        with (
            pytest.raises(WeightsUnreachable, match="another process"),
            opened(tmp_path).lock("https://weights.test/a", timeout_seconds=0.01),
        ):
            pass
        with opened(tmp_path).lock("https://weights.test/b", timeout_seconds=0.01):
            pass
    finally:
        done.set()
        thread.join()


def test_a_small_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
