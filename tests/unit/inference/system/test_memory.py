"""Pages of mapped files are dropped, and read again if they are used."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mapped import resident_kb

from cetacean_inference.system import memory
from cetacean_inference.system.memory import drop_pages

SIZE = 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights of a network.bin"
    path.write_bytes(b"w" * SIZE)
    return path


@pytest.fixture
def mapping(file: Path) -> Iterator[mmap.mmap]:
    """The file, mapped to be read, with all its pages in memory."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == b"w" * SIZE
        assert resident_kb(file) == SIZE // 1024
        yield mapped


@pytest.mark.parametrize("deleted", [False, True])
def test_pages_of_a_file_are_dropped_and_read_again(file: Path, mapping: mmap.mmap, deleted: bool) -> None:
    if deleted:
        file.unlink()
    drop_pages([file.parent / "another.bin", file])
    assert resident_kb(file) == 0
    assert mapping[:] == b"w" * SIZE


def test_pages_of_other_files_stay(file: Path, mapping: mmap.mmap) -> None:
    drop_pages([file.parent / "another.bin"])
    assert resident_kb(file) == SIZE // 1024
    assert mapping[0] == ord("w")


def test_pages_that_may_differ_from_the_file_stay(file: Path) -> None:
    with file.open("r+b") as stream, mmap.mmap(stream.fileno(), 0, flags=mmap.MAP_PRIVATE) as changed:
        changed[:1] = b"x"
        drop_pages([file])
        assert changed[:2] == b"xw"


def test_a_system_without_mappings_to_read_drops_nothing(
    file: Path, mapping: mmap.mmap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "MAPPINGS", tmp_path / "absent")
    drop_pages([file])
    assert resident_kb(file) == SIZE // 1024
    assert mapping[0] == ord("w")
