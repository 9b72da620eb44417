"""Files that are written as a whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cetacean_registry.atomic_files import create_file, replace_file


def fails(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_file_is_replaced_and_keeps_its_rights(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    replace_file(file, b"first")
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~_umask()
    file.chmod(0o640)
    replace_file(file, b"second", mode=0o600)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"second", 0o640)
    private = tmp_path / "b.html"
    replace_file(private, b"pictures", mode=0o600)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.html"]


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def test_a_link_stays_one(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("a.yaml")
    replace_file(link, b"content")
    assert link.is_symlink()
    assert (tmp_path / "a.yaml").read_bytes() == b"content"


@pytest.mark.parametrize("method", ["write", "replace"])
@pytest.mark.parametrize("fault", [fails, interrupted], ids=["no room", "interrupted"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, fault: Callable[..., None]
) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"old")
    if method == "write":
        monkeypatch.setattr("cetacean_registry.atomic_files._write", fault)
    else:
        monkeypatch.setattr(Path, "replace", fault)
    with pytest.raises((OSError, KeyboardInterrupt)) as raised:
        replace_file(file, b"new")
    monkeypatch.undo()
    assert raised.errisinstance(KeyboardInterrupt) or "a.yaml" in str(raised.value)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_write_is_refused_by_the_rights_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == file and mode == os.W_OK))
    with pytest.raises(PermissionError, match=r"Permission denied: '.*a\.yaml'"):
        replace_file(file, b"new")
    assert file.read_bytes() == b"old"


def test_what_is_no_regular_file_is_written_and_not_replaced(tmp_path: Path) -> None:
    replace_file(Path(os.devnull), b"content")
    assert Path(os.devnull).is_char_device()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path, b"content")


def test_a_long_name_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / ("a" * 255)
    replace_file(file, b"content")
    assert file.read_bytes() == b"content"


@pytest.mark.parametrize("path", ["missing/a.yaml", "circle", "a\0b"])
def test_a_place_that_does_not_exist_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match=path.partition("\0")[0]):
        replace_file(tmp_path / path, b"content")


def test_a_file_is_created_once_and_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    monkeypatch.setattr("cetacean_registry.atomic_files._write", fails)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        create_file(file, b"content")
    monkeypatch.undo()
    assert not file.exists()
    create_file(file, b"content")
    with pytest.raises(FileExistsError):
        create_file(file, b"other")
    assert file.read_bytes() == b"content"
