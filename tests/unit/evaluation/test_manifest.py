"""Manifests: what is read, and what is said of what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cetacean_evaluation.errors import EvaluationError
from cetacean_evaluation.manifest import COLUMNS, Picture, read_manifest, write_manifest

HEAD = ",".join(COLUMNS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two pictures in it."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def manifest(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join((head, *rows)) + "\n")
    return path


def test_rows_of_the_split_are_read_in_order(folder: Path) -> None:
    path = manifest(
        folder,
        "b.jpg,non_cetacean,,,web,CC,test",
        "a.jpg,cetacean,1a2b,beluga,happywhale,CC,test",
        "a.jpg,cetacean,1a2b,beluga,happywhale,CC,train",
    )
    assert read_manifest(path, split="test") == (
        Picture(folder / "b.jpg", cetacean=False),
        Picture(folder / "a.jpg", cetacean=True, individual_id="1a2b", species="beluga"),
    )
    assert len(read_manifest(path)) == 3


def test_a_written_manifest_can_be_read(folder: Path) -> None:
    row = dict(zip(COLUMNS, ("a.jpg", "cetacean", "1a2b", "beluga", "drawn", "Apache-2.0", "test"), strict=True))
    write_manifest(folder / "m.csv", [row])
    (picture,) = read_manifest(folder / "m.csv")
    assert picture == Picture(folder / "a.jpg", cetacean=True, individual_id="1a2b", species="beluga")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a.jpg,whale,,,,,test"], r"manifest.csv:2: label: expected cetacean or non_cetacean, got 'whale'"),
        (["a.jpg,cetacean,,,,,test", "c.jpg,cetacean,,,,,test"], r"manifest.csv:3: relpath: .* got 'c.jpg'"),
        ([",cetacean,,,,,test"], r"manifest.csv:2: relpath: expected a picture, got ''"),
        (["a.jpg"], r"manifest.csv: expected pictures of the split test, got: "),
        (["a.jpg,cetacean,,,,,train"], r"expected pictures of the split test, got: train"),
        ([], r"expected pictures of the split test, got: no rows"),
    ],
)
def test_faults_are_named_with_their_line(folder: Path, rows: list[str], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        read_manifest(manifest(folder, *rows), split="test")


def test_missing_columns_are_named(folder: Path) -> None:
    with pytest.raises(EvaluationError, match="missing: individual_id, species, source, license, split"):
        read_manifest(manifest(folder, "a.jpg,cetacean", head="relpath,label"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"nothing.csv: cannot be read: .*No such file"):
        read_manifest(tmp_path / "nothing.csv")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00\x01\xff")
    with pytest.raises(EvaluationError, match=r"m\.csv: cannot be read"):
        read_manifest(tmp_path / "m.csv")
