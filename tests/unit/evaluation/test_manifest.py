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
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
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
        "c.jpg,cetacean,1a2b,beluga,happywhale,CC,train",
    )
    (folder / "c.jpg").touch()
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
        (["a.jpg"], r"manifest.csv:2: expected 7 fields, got 1"),
        (["a.jpg,cetacean,,,,,test", "b.jpg,cetacean,,,,,test,more"], r"manifest.csv:3: expected 7 fields, got 8"),
        (["a.jpg,cetacean,,,,,test", "b.jpg,cetacean,,,,, "], r"manifest.csv:3: split: expected a name, got ''"),
        (["a.jpg,cetacean,,,,,test", "", "./a.jpg,cetacean,,,,,test"], r"manifest.csv:4: relpath: .* as in line 2"),
        (["a.jpg,cetacean,,,,,test", "a.jpg,cetacean,,,,,train"], r"manifest.csv:3: relpath: .* as in line 2"),
        (["link.jpg,cetacean,,,,,test", "a.jpg,cetacean,,,,,test"], r"manifest.csv:3: relpath: .* as in line 2"),
        (
            [f"a.jpg,cetacean,,{'x' * 65},,,test"],
            r"manifest.csv:2: species: expected at most 64 characters, got 65",
        ),
        (["a.jpg,cetacean,,,,,train"], r"expected pictures of the split test, got: train"),
        ([], r"expected pictures of the split test, got: no rows"),
        (["circle.jpg,cetacean,,,,,test"], r"manifest.csv:2: relpath: expected a picture, got 'circle.jpg'"),
        (["a\0.jpg,cetacean,,,,,test"], r"manifest.csv:2: relpath: expected a picture, got 'a\\x00.jpg'"),
        (
            [f"{'a/' * 600}.jpg,cetacean,,,,,test"],
            r"manifest.csv:2: relpath: expected at most 1024 characters, got 1204",
        ),
        ([f"{'a' * 300}.jpg,cetacean,,,,,test"], r"manifest.csv:2: relpath: expected a picture, got 'aaa"),
    ],
)
def test_faults_are_named_with_their_line(folder: Path, rows: list[str], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        read_manifest(manifest(folder, *rows), split="test")


def test_the_name_of_a_split_forges_no_line(folder: Path) -> None:
    with pytest.raises(EvaluationError) as refused:
        read_manifest(manifest(folder, "a.jpg,cetacean,,,,,\x1b[2J\x1b]0;owned\x07evil"), split="test")
    assert str(refused.value).endswith("got: \ufffd[2J\ufffd]0;owned\ufffdevil")


def test_more_pictures_than_outcomes_can_hold_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cetacean_evaluation.manifest.MAX_PICTURES", 1)
    path = manifest(folder, "a.jpg,cetacean,,,,,test", "b.jpg,cetacean,,,,,test")
    with pytest.raises(EvaluationError, match=r"manifest\.csv: expected at most 1 pictures, got 2"):
        read_manifest(path, split="test")


def test_missing_columns_are_named(folder: Path) -> None:
    with pytest.raises(EvaluationError, match="missing or repeated: individual_id, species, source, license, split"):
        read_manifest(manifest(folder, "a.jpg,cetacean", head="relpath,label"))


@pytest.mark.parametrize(
    ("quoted", "said"),
    [
        pytest.param({2: '"%s'}, "unexpected end of data", id="never closed"),
        pytest.param({2: '"%s', 5: '"%s'}, "expected after", id="another one at the start of a field"),
        pytest.param({2: '"%s', 5: '%s"'}, "a field of several lines", id="another one at the end of a field"),
        pytest.param({2: '"a"%s'}, "expected after", id="within a field"),
    ],
)
def test_a_stray_quote_leaves_no_rows_out(folder: Path, quoted: dict[int, str], said: str) -> None:
    rows = [f"{number}.jpg,cetacean,,,,,test" for number in range(10)]
    for number in range(10):
        (folder / f"{number}.jpg").touch()
    assert len(read_manifest(manifest(folder, *rows), split="test")) == 10
    for number, form in quoted.items():
        rows[number] = form % rows[number]
    with pytest.raises(EvaluationError, match=said):
        read_manifest(manifest(folder, *rows), split="test")


def test_a_quoted_field_on_one_line_is_read(folder: Path) -> None:
    (folder / "c, d.jpg").touch()
    (read,) = read_manifest(manifest(folder, '"c, d.jpg",cetacean,,"a ""b""",,,test'))
    assert (read.path.name, read.species) == ("c, d.jpg", 'a "b"')


def test_rows_without_a_split_are_read_if_none_is_asked_for(folder: Path) -> None:
    assert len(read_manifest(manifest(folder, "a.jpg,cetacean,,,,,", "b.jpg,cetacean,,,,,test"))) == 2


def test_a_column_that_is_there_twice_is_named(folder: Path) -> None:
    with pytest.raises(EvaluationError, match="missing or repeated: split"):
        read_manifest(manifest(folder, head=f"{HEAD},split"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"nothing.csv: cannot be read: .*No such file"):
        read_manifest(tmp_path / "nothing.csv")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00\x01\xff")
    with pytest.raises(EvaluationError, match=r"m\.csv: cannot be read"):
        read_manifest(tmp_path / "m.csv")
