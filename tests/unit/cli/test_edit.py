"""Writes of the registry's file: of several at the same time, one applies and the others are refused."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_cli.registry_file import edit

WRITERS = 4


def test_of_concurrent_changes_only_one_applies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "registry.json"
    file.write_text("before")
    begin, read = Barrier(WRITERS), edit.read
    overlap = Barrier(WRITERS)

    def slow_read(path: Path) -> str:
        text = read(path)
        with contextlib.suppress(BrokenBarrierError):
            overlap.wait(timeout=0.3)  # until every writer has read the old text, unless a lock keeps them apart
        return text

    monkeypatch.setattr(edit, "read", slow_read)

    def write(number: int) -> str | None:
        begin.wait()
        try:
            edit.write(file, f"of {number}", before="before")
        except RefusedError:
            return None
        return f"of {number}"

    with ThreadPoolExecutor(WRITERS) as pool:
        applied = [text for text in pool.map(write, range(WRITERS)) if text]
    assert applied == [file.read_text()]
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "registry.json"
    file.write_text("before")

    def refuse(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(BadInputError, match="cannot be written: no room"):
        edit.write(file, "after", before="before")
    monkeypatch.undo()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
    edit.write(file, "after", before="before")  # the lock is free again
    assert file.read_text() == "after"


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "registry.json", tmp_path / "gone/registry.json"):
        with pytest.raises(BadInputError, match="cannot be"):
            edit.write(path, "after", before="before")
