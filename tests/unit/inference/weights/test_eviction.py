"""Eviction: files in use stay, on NFS too; `prune` removes all others."""

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
from support.weights_cache import add_blob, add_derived, add_incomplete, blobs, open_cache

from cetacean_inference.errors import CacheFull
from cetacean_inference.pipeline import load_pipeline
from cetacean_inference.weights.cache import VOLUME_OVERHEAD, Pruned
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
def test_unused_files_are_evicted_from_nfs(tmp_path: Path) -> None:
    filled = open_cache(tmp_path)
    add_blob(filled, b"x" * 300)
    derived = add_derived(filled, "networks-a")
    abandoned = filled.partial("https://weights.test/a")
    abandoned.write_bytes(b"x" * 300)
    open_cache(tmp_path).make_room(1000, purpose="new")
    assert (blobs(tmp_path), derived.exists(), abandoned.exists()) == (set(), False, False)


def test_nothing_stays_of_what_is_evicted_but_the_lock_of_a_download(tmp_path: Path) -> None:
    filled = open_cache(tmp_path)
    add_blob(filled, b"x" * 300)
    add_derived(filled, "networks-a")
    abandoned = add_incomplete(filled, "https://weights.test/a")
    open_cache(tmp_path).make_room(1000, purpose="new")
    stay = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert stay == [tmp_path / "locks" / f"{abandoned.stem}.lock"], "its key may be downloaded at this moment"


def test_nothing_is_evicted_for_a_file_that_cannot_fit(tmp_path: Path) -> None:
    filled = open_cache(tmp_path)
    stay = {add_blob(filled, bytes([n]) * 200) for n in range(4)}
    with pytest.raises(CacheFull, match=r"needs 1001 bytes, expected at most 1000 .*got 0 bytes of files .* in use"):
        open_cache(tmp_path).make_room(1001, purpose="new")
    with pytest.raises(CacheFull, match=r"bytes free in .*, unused files included"):
        open_cache(tmp_path, limit=2**62).make_room(2**61, purpose="new")
    assert blobs(tmp_path) == stay


@pytest.mark.parametrize(("ahead", "stays"), [(10, True), (3600, False)])
def test_a_file_dated_far_ahead_of_the_clock_counts_as_unused(tmp_path: Path, ahead: float, stays: bool) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300, age=-ahead)
    pod = open_cache(tmp_path, keep_unused_seconds=600)
    if stays:
        with pytest.raises(CacheFull):
            pod.make_room(900, purpose="new")
    else:
        pod.make_room(900, purpose="new")
    assert (digest in blobs(tmp_path)) == stays


def test_prune_removes_a_file_dated_ahead_of_the_clock(tmp_path: Path) -> None:
    add_blob(open_cache(tmp_path), b"x" * 300, age=-3600)
    assert open_cache(tmp_path).prune(unused_seconds=0) == Pruned(1, 300)


def test_what_cannot_be_removed_frees_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = add_derived(open_cache(tmp_path), "networks-a")

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(CacheFull):
        open_cache(tmp_path).make_room(1000, purpose="new")
    assert derived.exists()


@pytest.mark.usefixtures("_nfs")
def test_a_file_in_use_on_nfs_is_not_evicted(tmp_path: Path) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300)
    with open_cache(tmp_path).open_locked(digest), pytest.raises(CacheFull):
        open_cache(tmp_path).make_room(900, purpose="new")
    assert blobs(tmp_path) == {digest}


def test_a_file_without_write_permission_is_evicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_blob(open_cache(tmp_path), b"x" * 300)
    plainly = Path.open

    def refusing(path: Path, mode: str = "r") -> object:
        if "+" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return plainly(path, mode)

    monkeypatch.setattr(Path, "open", refusing)  # root may run the tests, and ignores modes
    open_cache(tmp_path).make_room(1000, purpose="new")
    assert blobs(tmp_path) == set()


def before_it_is_locked(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Call `happens` after the files were listed and before one is locked for eviction."""

    def late(stream: IO[bytes] | int, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            happens()
        flock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", late)


def test_a_blob_used_since_it_was_listed_is_not_evicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300)
    user = open_cache(tmp_path)
    before_it_is_locked(monkeypatch, lambda: user.mark_used(digest))
    with pytest.raises(CacheFull):
        open_cache(tmp_path).make_room(900, purpose="new")
    assert blobs(tmp_path) == {digest}


def test_the_space_of_a_blob_that_another_pod_evicted_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300)
    before_it_is_locked(monkeypatch, (tmp_path / "blobs" / "sha256" / digest).unlink)
    open_cache(tmp_path).make_room(900, purpose="new")


def test_room_is_made_for_the_overhead_of_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_blob(open_cache(tmp_path), b"x" * 300)

    def disk_usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=VOLUME_OVERHEAD + (499 if blobs(tmp_path) else 799))

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    open_cache(tmp_path).make_room(500, purpose="new")
    assert blobs(tmp_path) == set()


def test_opening_a_blob_marks_it_as_used(tmp_path: Path) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300)
    with open_cache(tmp_path).open_locked(digest):
        pass
    with pytest.raises(CacheFull):
        open_cache(tmp_path, keep_unused_seconds=600).make_room(900, purpose="new")
    assert blobs(tmp_path) == {digest}


def test_a_blob_on_a_read_only_volume_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = add_blob(open_cache(tmp_path), b"weights")

    def read_only(_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", read_only)
    with open_cache(tmp_path).open_locked(digest) as stream:
        assert stream.read() == b"weights"


def test_loading_a_pipeline_marks_its_files_as_used(tmp_path: Path, weights: Path) -> None:
    settings = make_settings(tmp_path, engine={"name": "torch-eager"}, **sections(f"file://{weights}"))
    fetch_all(settings)
    files = [path for path in (settings.weights_cache / "blobs" / "sha256").iterdir() if path.is_file()]
    for file in files:
        os.utime(file, (0, 0))
    load_pipeline(settings).close()
    assert len(files) == 5
    assert all(file.stat().st_mtime > 0 for file in files)


# --- prune -----------------------------------------------------------------------------------------------------------


def test_prune_removes_what_was_not_used_for_so_long(tmp_path: Path) -> None:
    filled = open_cache(tmp_path)
    add_blob(filled, b"x" * 300, age=900)
    young = add_blob(filled, b"y" * 300, age=100)
    derived, incomplete = add_derived(filled, "networks-a"), add_incomplete(filled, "https://weights.test/a")
    assert open_cache(tmp_path).prune(unused_seconds=600) == Pruned(3, 900)
    assert (blobs(tmp_path), derived.exists(), incomplete.exists()) == ({young}, False, False)
    assert open_cache(tmp_path).prune(unused_seconds=600) == Pruned(0, 0)


def test_prune_keeps_what_another_process_serves_from(tmp_path: Path) -> None:
    filled = open_cache(tmp_path)
    served, unused = add_blob(filled, b"served"), add_blob(filled, b"unused")
    derived = add_derived(filled, "networks-a")
    locked = filled.lock_derived("networks-a")
    assert locked is not None
    with open_cache(tmp_path).open_locked(served), locked:
        assert open_cache(tmp_path).prune(unused_seconds=0) == Pruned(1, len(b"unused"))
    assert (blobs(tmp_path), derived.exists()) == ({served}, True)
    assert unused not in blobs(tmp_path)


# --- outside of a fetch ----------------------------------------------------------------------------------------------


def test_checking_for_room_evicts_nothing(tmp_path: Path) -> None:
    digest = add_blob(open_cache(tmp_path), b"x" * 300)
    open_cache(tmp_path).check_room(700, purpose="new")
    with pytest.raises(CacheFull, match="needs 701 bytes, expected at most 1000"):
        open_cache(tmp_path).check_room(701, purpose="new")
    assert blobs(tmp_path) == {digest}
