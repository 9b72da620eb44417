"""Pictures of disagreements are kept in a folder: bounded, whole or not at all, and never waited for."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from pathlib import Path

import pytest
from support.waiting import wait_until

from cetacean_inference.shadow.kept_pictures import ABANDONED_SECONDS, KeptPictures, Outcome

MANY = 1000


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keep(pictures: KeptPictures, data: bytes, *, max_items: int = 10) -> None:
    """Keep a picture, and wait until that is done."""
    before = pictures.outcomes.total()
    pictures.keep(digest(data), data, max_items=max_items)
    wait_until(lambda: pictures.outcomes.total() > before and not writers())


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kept pictures"]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_picture_is_kept_by_its_digest_and_can_be_read(tmp_path: Path) -> None:
    pictures = KeptPictures(tmp_path / "made", max_bytes=MANY)
    keep(pictures, b"whale")
    assert names(tmp_path / "made") == {digest(b"whale")}
    assert pictures.read(digest(b"whale"), max_bytes=MANY) == b"whale"
    assert pictures.outcomes == {Outcome.KEPT: 1}
    assert pictures.read(digest(b"other"), max_bytes=MANY) is None


def test_the_oldest_are_removed_to_keep_the_bound_of_number(tmp_path: Path) -> None:
    pictures = KeptPictures(tmp_path, max_bytes=MANY)
    for number in range(5):
        data = str(number).encode()
        keep(pictures, data, max_items=2)
        os.utime(tmp_path / digest(data), (number, number))
    assert names(tmp_path) == {digest(b"3"), digest(b"4")}
    assert pictures.outcomes == {Outcome.KEPT: 5}


def test_the_oldest_are_removed_to_keep_the_bound_of_bytes(tmp_path: Path) -> None:
    pictures = KeptPictures(tmp_path, max_bytes=10)
    for number in range(4):
        data = str(number).encode() * 4
        keep(pictures, data)
        os.utime(tmp_path / digest(data), (number, number))
    assert names(tmp_path) == {digest(b"2222"), digest(b"3333")}
    keep(pictures, b"x" * 11)
    assert pictures.outcomes == {Outcome.KEPT: 4, Outcome.FAILED: 1}
    assert names(tmp_path) == {digest(b"2222"), digest(b"3333")}


def test_files_of_others_stay_and_what_an_ended_process_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "lost+found").mkdir()
    old, fresh = f".{digest(b'a')}.17.part", f".{digest(b'b')}.18.part"
    for name in (old, fresh):
        (tmp_path / name).write_bytes(b"half")
    os.utime(tmp_path / old, (1, 1))
    keep(KeptPictures(tmp_path, max_bytes=10), b"c", max_items=1)
    assert names(tmp_path) == {"notes.txt", "lost+found", fresh, digest(b"c")}
    assert ABANDONED_SECONDS > 60


@pytest.mark.parametrize("folder", ["missing", "file", "none"])
def test_a_volume_that_cannot_be_written_is_counted_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    path = {"missing": tmp_path / "file" / "below", "file": tmp_path / "file", "none": None}[folder]
    pictures = KeptPictures(path, max_bytes=MANY)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            keep(pictures, str(number).encode())
    assert pictures.outcomes == {Outcome.FAILED: 3}
    (line,) = caplog.messages
    assert "a picture was not kept" in line
    assert "answers go on" in line


def test_a_full_volume_leaves_no_part_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    pictures = KeptPictures(tmp_path, max_bytes=MANY)
    monkeypatch.setattr(os, "fsync", full)
    keep(pictures, b"whale")
    assert names(tmp_path) == set()
    assert pictures.outcomes == {Outcome.FAILED: 1}


def test_while_one_is_written_others_are_skipped_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: hangs.wait(30))
    pictures = KeptPictures(tmp_path, max_bytes=MANY)
    pictures.keep(digest(b"a"), b"a", max_items=9)
    wait_until(lambda: bool(writers()))
    for number in range(3):
        pictures.keep(digest(str(number).encode()), str(number).encode(), max_items=9)
    assert pictures.outcomes == {Outcome.BUSY: 3}
    hangs.set()
    wait_until(lambda: not writers())
    assert pictures.outcomes == {Outcome.BUSY: 3, Outcome.KEPT: 1}


def test_only_whole_pictures_of_the_folder_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    pictures = KeptPictures(folder, max_bytes=MANY)
    for name in ("../secret", "secret", digest(b"secret").upper(), "", "."):
        assert pictures.read(name, max_bytes=MANY) is None
    (folder / digest(b"secret")).symlink_to(tmp_path / "secret")
    assert pictures.read(digest(b"secret"), max_bytes=MANY) is None
    (folder / digest(b"a")).write_bytes(b"forged")
    assert pictures.read(digest(b"a"), max_bytes=MANY) is None
    os.mkfifo(folder / digest(b"f"))
    assert pictures.read(digest(b"f"), max_bytes=MANY) is None
    (folder / digest(b"long")).write_bytes(b"long")
    assert pictures.read(digest(b"long"), max_bytes=3) is None
    assert KeptPictures(None, max_bytes=MANY).read(digest(b"a"), max_bytes=MANY) is None


def test_bounds_hold_beside_a_picture_that_another_pod_removes(tmp_path: Path) -> None:
    pods = [KeptPictures(tmp_path, max_bytes=MANY) for _ in range(2)]
    for number in range(6):
        data = str(number).encode()
        keep(pods[number % 2], data, max_items=3)
        os.utime(tmp_path / digest(data), (number, number))
    assert names(tmp_path) == {digest(str(number).encode()) for number in (3, 4, 5)}
