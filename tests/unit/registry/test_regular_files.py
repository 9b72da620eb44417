"""Files whose paths come from outside: pipes, devices and too large files are errors, and nothing waits for them."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from cetacean_registry import regular_files
from cetacean_registry.digests import file_sha256
from cetacean_registry.errors import RegistryError
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.outcomes import load_outcomes
from cetacean_registry.registry import Registry
from cetacean_registry.regular_files import open_regular_file, read_regular_file, resolve_path


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_file_is_read_up_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular_files, "LARGEST_FILE", 3)
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert read_regular_file(file) == b"abc"
    file.write_bytes(b"abcd")
    with pytest.raises(OSError, match=r"^expected at most 3 bytes, got more$"):
        read_regular_file(file)


def test_no_more_of_a_file_than_the_bound_is_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular_files, "LARGEST_FILE", 3)
    with (tmp_path / "a").open("wb") as file:
        file.truncate(2**26)  # sparse: it needs no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=r"^expected at most 3 bytes, got more$"):
            read_regular_file(tmp_path / "a")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("read", [read_regular_file, open_regular_file, file_sha256])
def test_only_regular_files_are_read(read: Callable[[Path], object], pipe: Path, tmp_path: Path) -> None:
    for path in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=r"^expected a regular file$"):
            read(path)
    with pytest.raises(OSError, match=r"^expected a path, got 'a"):
        read(Path("a\0b"))


@pytest.mark.parametrize("load", [Registry.load, MetricsSnapshot.load])
def test_a_document_that_is_a_pipe_is_an_error(load: Callable[[Path], object], pipe: Path) -> None:
    with pytest.raises(RegistryError, match=r"pipe: cannot be read: expected a regular file$"):
        load(pipe)


def test_outcomes_that_are_a_pipe_are_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.outcomes.jsonl")
    with pytest.raises(RegistryError, match=r"a\.outcomes\.jsonl: cannot be read: expected a regular file$"):
        load_outcomes(tmp_path / "a.json", MetricsSnapshot.model_validate({"identification": {"n_samples": 0}}))


def test_an_outcome_has_a_bounded_line(tmp_path: Path) -> None:
    with (tmp_path / "a.outcomes.jsonl").open("wb") as file:
        file.truncate(2**40)  # sparse: it needs no room on the disk
    with pytest.raises(RegistryError, match=r"a\.outcomes\.jsonl:1: expected at most 65536 bytes, got more$"):
        load_outcomes(tmp_path / "a.json", MetricsSnapshot.model_validate({"identification": {"n_samples": 0}}))


def test_outcomes_whose_name_is_too_long_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"cannot be read: .*File name too long"):
        load_outcomes(tmp_path / f"{'a' * 250}.json", MetricsSnapshot())


def test_the_place_of_a_path_is_found_or_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("a.json")
    assert resolve_path(tmp_path / "link") == tmp_path.resolve() / "a.json"
    (tmp_path / "circle").symlink_to("circle")
    for name in ("circle", "circle/a.json", "a\0b"):
        with pytest.raises(RegistryError, match="cannot be found: ") as refused:
            resolve_path(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_a_line_of_the_greatest_length_is_read(tmp_path: Path) -> None:
    names = {"individual": None, "species": None, "named_individual": "a", "named_species": "orca"}
    line = json.dumps({"picture": "a", "sha256": "a" * 64, **names, "probability": 0.5, "top5": True})
    (tmp_path / "a.outcomes.jsonl").write_text(f"{line:<65535}\n")
    found = load_outcomes(tmp_path / "a.json", MetricsSnapshot.model_validate({"identification": {"n_samples": 0}}))
    assert found is not None
    assert [one.picture for one in found] == ["a"]
