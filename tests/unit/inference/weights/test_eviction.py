"""What is in use stays, whatever the volume, and however little time there is between two pods."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
from support.inference_world import make_settings
from support.tiny_weights import sections
from support.weights_cache import adopt, blobs, derive, opened

from cetacean_inference.errors import CacheFull
from cetacean_inference.pipeline import load_pipeline
from cetacean_inference.weights.cache import BESIDE, RECORD_FILE
from cetacean_inference.weights.fetch import fetch_all

flock = fcntl.flock


@pytest.fixture
def _nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_nfs(stream: IO[bytes] | int, operation: int) -> None:
        descriptor = stream if isinstance(stream, int) else stream.fileno()
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if (operation & fcntl.LOCK_EX and mode == os.O_RDONLY) or (operation & fcntl.LOCK_SH and mode == os.O_WRONLY):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", of_nfs)


@pytest.mark.usefixtures("_nfs")
def test_nfs_locks_exclusively_what_is_open_for_writing(tmp_path: Path) -> None:
    filled = opened(tmp_path)
    adopt(filled, b"x" * 300)
    derived = derive(filled, "networks-a")
    abandoned = filled.partial("https://weights.test/a")
    abandoned.write_bytes(b"x" * 300)
    opened(tmp_path).make_room(1000, what="new")
    assert (blobs(tmp_path), derived.exists(), abandoned.exists()) == (set(), False, False)


@pytest.mark.usefixtures("_nfs")
def test_what_is_served_from_nfs_stays(tmp_path: Path) -> None:
    digest = adopt(opened(tmp_path), b"x" * 300)
    with opened(tmp_path).hold(digest), pytest.raises(CacheFull):
        opened(tmp_path).make_room(900, what="new")
    assert blobs(tmp_path) == {digest}


def test_what_may_not_be_written_is_evicted_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(opened(tmp_path), b"x" * 300)
    plainly = Path.open

    def refusing(path: Path, mode: str = "r") -> object:
        if "+" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return plainly(path, mode)

    monkeypatch.setattr(Path, "open", refusing)  # root, as which tests may run, writes whatever its mode
    opened(tmp_path).make_room(1000, what="new")
    assert blobs(tmp_path) == set()


def before_it_is_locked(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Have something happen between the listing of what is there and the lock of what is chosen."""

    def late(stream: IO[bytes] | int, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            happens()
        flock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", late)


def test_what_was_used_since_it_was_listed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = adopt(opened(tmp_path), b"x" * 300)
    user = opened(tmp_path)
    before_it_is_locked(monkeypatch, lambda: user.use(digest))
    with pytest.raises(CacheFull):
        opened(tmp_path).make_room(900, what="new")
    assert blobs(tmp_path) == {digest}


def test_what_another_pod_has_just_evicted_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = adopt(opened(tmp_path), b"x" * 300)
    other = opened(tmp_path)
    before_it_is_locked(monkeypatch, lambda: other.discard(digest))
    opened(tmp_path).make_room(900, what="new")


def test_room_is_made_for_what_a_download_writes_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(opened(tmp_path), b"x" * 300)

    def disk_usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=BESIDE + (499 if blobs(tmp_path) else 799))

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    opened(tmp_path).make_room(500, what="new")
    assert blobs(tmp_path) == set()


def test_what_is_held_can_be_renewed(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    digest, other, derived = adopt(cache, b"held"), adopt(cache, b"closed"), derive(cache, "networks-a")
    files = [tmp_path / "blobs" / "sha256" / name for name in (digest, other)] + [derived / RECORD_FILE]
    held_derived = cache.hold_derived("networks-a")
    assert held_derived is not None
    with cache.hold(digest), held_derived:
        cache.hold(other).close()
        for _ in range(2):
            for file in files:
                os.utime(file, (0, 0))
            cache.touch()
            assert [file.stat().st_mtime > 0 for file in files] == [True, False, True]
    for file in files:
        os.utime(file, (0, 0))
    cache.touch()
    assert [file.stat().st_mtime for file in files] == [0, 0, 0]


def test_a_volume_that_keeps_no_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = opened(tmp_path)
    digest = adopt(cache, b"weights")

    def read_only(_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", read_only)
    with cache.hold(digest):
        cache.touch()


def test_a_pipeline_renews_what_it_was_loaded_from(tmp_path: Path, weights: Path) -> None:
    given = sections(f"file://{weights}")
    settings = make_settings(tmp_path, engine={"name": "torch-eager"}, **given)
    fetch_all(settings)
    pipeline = load_pipeline(settings)
    files = [path for path in (settings.weights_cache / "blobs" / "sha256").iterdir() if path.is_file()]
    for file in files:
        os.utime(file, (0, 0))
    pipeline.touch()
    assert len(files) == 5
    assert all(file.stat().st_mtime > 0 for file in files)
    pipeline.close()
