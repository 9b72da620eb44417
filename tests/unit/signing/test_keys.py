"""Files of keys and certificates, whose paths come from people."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from cetacean_signing import keys
from cetacean_signing.errors import KeyUnreadableError
from cetacean_signing.keys import read_small_file


def test_no_more_of_a_file_than_the_bound_is_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LARGEST_FILE", 3)
    file = tmp_path / "key.pem"
    file.write_bytes(b"abc")
    assert read_small_file(file, "a key") == b"abc"
    with file.open("wb") as stream:
        stream.truncate(2**26)  # sparse: it needs no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(KeyUnreadableError, match=r"key\.pem: expected at most 3 bytes, got more$"):
            read_small_file(file, "a key")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_path_with_a_null_character_is_an_error() -> None:
    with pytest.raises(KeyUnreadableError, match="expected a public key in PEM, got: embedded null byte"):
        read_small_file(Path("a\0b"), "a public key in PEM")
