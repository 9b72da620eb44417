"""The content of the cache: blobs, refs, derived files, locks, and which are evicted first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.weights_cache import add_blob, add_derived, add_incomplete, blobs, open_cache

from cetacean_inference.errors import CacheFull, WeightsUnreachable
from cetacean_inference.weights.cache import RECORD_FILE, Ref, write_atomically


def test_a_blob_is_found_by_its_digest(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    digest = add_blob(cache, b"weights")
    path = cache.find(digest)
    assert path is not None
    assert path.read_bytes() == b"weights"
    assert path.stat().st_mode & 0o777 == 0o644
    assert cache.find("ab" * 32) is None


def test_a_ref_is_valid_as_long_as_its_blob_exists(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    digest = add_blob(cache, b"weights")
    ref = Ref("https://weights.test/a", digest, '"etag"')
    cache.write_ref(ref)
    assert open_cache(tmp_path).read_ref("https://weights.test/a") == ref
    assert cache.read_ref("https://weights.test/b") is None
    (tmp_path / "blobs" / "sha256" / digest).unlink()
    assert cache.read_ref("https://weights.test/a") is None


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda ref: ref | {"size": 7}, id="a newer release adds a field"),
        pytest.param(lambda ref: {"url": ref["url"]}, id="no digest"),
        pytest.param(lambda ref: [ref], id="a list"),
        pytest.param(lambda _: None, id="null"),
    ],
)
def test_a_ref_of_another_format_counts_as_none(tmp_path: Path, written: Callable[[dict[str, Any]], Any]) -> None:
    cache = open_cache(tmp_path)
    cache.write_ref(Ref("https://weights.test/a", add_blob(cache, b"weights")))
    (file,) = (tmp_path / "refs").iterdir()
    file.write_text(json.dumps(written(json.loads(file.read_text(encoding="utf-8")))), encoding="utf-8")
    assert cache.read_ref("https://weights.test/a") is None


def test_the_blob_unused_longest_is_evicted_first(tmp_path: Path) -> None:
    filled = open_cache(tmp_path)
    oldest, middle, newest = (add_blob(filled, bytes([n]) * 300, age=age) for n, age in ((1, 900), (2, 600), (3, 300)))
    open_cache(tmp_path).make_room(300, purpose="new")
    assert blobs(tmp_path) == {middle, newest}
    assert oldest not in blobs(tmp_path)


def test_nothing_is_evicted_if_there_is_room(tmp_path: Path) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300)
    open_cache(tmp_path).make_room(700, purpose="new")
    assert blobs(tmp_path) == {digest}


def test_a_blob_used_recently_is_not_evicted(tmp_path: Path) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300, age=100)
    with pytest.raises(
        CacheFull, match=r"needs 800 bytes, expected at most 1000.*got 300 bytes of files that are in use"
    ):
        open_cache(tmp_path, keep_unused_seconds=600).make_room(800, purpose="new")
    assert blobs(tmp_path) == {digest}


def test_a_blob_that_another_process_serves_from_is_not_evicted(tmp_path: Path) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300)
    holder = (
        "import sys; from pathlib import Path; from cetacean_inference.weights.cache import WeightsCache;"
        "cache = WeightsCache(Path(sys.argv[1]), limit_bytes=1000, keep_unused_seconds=0);"
        "stream = cache.open_locked(sys.argv[2]); print('holding', flush=True); sys.stdin.read(); stream.close()"
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
        # Opening it set its time of use; here only the lock must protect it.
        os.utime(tmp_path / "blobs" / "sha256" / digest, (0, 0))
        with pytest.raises(CacheFull):
            open_cache(tmp_path).make_room(900, purpose="new")
        process.communicate("")
    assert blobs(tmp_path) == {digest}
    open_cache(tmp_path).make_room(900, purpose="new")
    assert blobs(tmp_path) == set()


def test_derived_directories_are_evicted_like_blobs(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    older, newer = add_derived(cache, "networks-a"), add_derived(cache, "networks-b", age=100)
    digest = add_blob(cache, b"x" * 300, age=500)
    open_cache(tmp_path).make_room(300, purpose="new")
    assert (older.exists(), newer.exists(), blobs(tmp_path)) == (False, True, {digest})
    open_cache(tmp_path).make_room(600, purpose="new")
    assert (newer.exists(), blobs(tmp_path)) == (True, set())


def test_a_derived_directory_in_use_is_not_evicted(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    directory = add_derived(cache, "networks-a")
    held = cache.lock_derived("networks-a")
    assert held is not None
    with held:
        assert cache.lock_derived("networks-b") is None
        # Opening it set its time of use; here only the lock must protect it.
        os.utime(directory / RECORD_FILE, (0, 0))
        with pytest.raises(CacheFull):
            open_cache(tmp_path).make_room(900, purpose="new")
    assert directory.exists()
    open_cache(tmp_path).make_room(900, purpose="new")
    assert not directory.exists()


def test_small_derived_files_count_and_are_evicted_like_blobs(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    texts = cache.derived / "text-embeddings.safetensors"
    texts.write_bytes(b"x" * 300)
    os.utime(texts, (0, 0))
    digest = add_blob(cache, b"x" * 300)
    open_cache(tmp_path).make_room(400, purpose="new")
    assert (texts.exists(), blobs(tmp_path)) == (True, {digest})
    open_cache(tmp_path).make_room(500, purpose="new")
    assert (texts.exists(), blobs(tmp_path)) == (False, {digest})


def test_incomplete_files_count_and_are_evicted_like_blobs(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    download = add_incomplete(cache, "https://weights.test/a")
    staging = tmp_path / "incomplete" / "networks-a"
    staging.mkdir()
    (staging / "gate.bin").write_bytes(b"x" * 300)
    os.utime(staging, (0, 0))
    open_cache(tmp_path).make_room(400, purpose="new")
    assert download.exists()
    assert staging.exists()
    open_cache(tmp_path).make_room(401, purpose="new")
    assert (staging.exists(), download.exists()) == (False, True)
    open_cache(tmp_path).make_room(701, purpose="new")
    assert not download.exists()


def test_a_download_in_progress_is_not_evicted(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    download = add_incomplete(cache, "https://weights.test/a")
    with cache.lock("https://weights.test/a", timeout_seconds=1), pytest.raises(CacheFull):
        open_cache(tmp_path).make_room(701, purpose="new")
    assert download.exists()
    fresh = add_incomplete(cache, "https://weights.test/b", age=1)
    with pytest.raises(CacheFull):
        open_cache(tmp_path, keep_unused_seconds=60).make_room(999, purpose="new")
    assert fresh.exists()


def test_a_derived_directory_that_failed_half_way_does_not_exist(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    with pytest.raises(IsADirectoryError), cache.staging_directory("networks-a") as staging:
        staging.write_text("fails half way", encoding="utf-8")
    assert not (cache.derived / "networks-a").exists()
    assert list((tmp_path / "incomplete").iterdir()) == []


def test_a_new_derived_directory_replaces_the_previous_one(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    add_derived(cache, "networks-a")
    with cache.staging_directory("networks-a") as staging:
        assert list(staging.iterdir()) == []
        (staging / "new").touch()
    assert [entry.name for entry in (cache.derived / "networks-a").iterdir()] == ["new"]


def test_files_that_a_killed_process_left_are_not_in_a_new_derived_directory(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    left = tmp_path / "incomplete" / "networks-a"
    left.mkdir()
    (left / "half").touch()
    with cache.staging_directory("networks-a") as staging:
        assert list(staging.iterdir()) == []
        (staging / "new").touch()
    assert [entry.name for entry in (cache.derived / "networks-a").iterdir()] == ["new"]


def test_a_process_does_not_evict_its_own_blobs(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    digest = add_blob(cache, b"x" * 300)
    with pytest.raises(CacheFull):
        cache.make_room(900, purpose="new")
    assert blobs(tmp_path) == {digest}


def test_more_bytes_than_the_volume_has_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CacheFull, match="bytes free"):
        open_cache(tmp_path, limit=2**62).make_room(2**61, purpose="new")


def test_opening_a_missing_blob_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_cache(tmp_path).open_locked("ab" * 32)


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheFull, match="expected a writable directory"):
        open_cache(tmp_path / "file")


def test_waiting_too_long_for_a_lock_is_an_error(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
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
            open_cache(tmp_path).lock("https://weights.test/a", timeout_seconds=0.01),
        ):
            pass
        with open_cache(tmp_path).lock("https://weights.test/b", timeout_seconds=0.01):
            pass
    finally:
        done.set()
        thread.join()


def test_a_small_file_is_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
