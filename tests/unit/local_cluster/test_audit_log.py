"""The audit log is read whole, although the API server begins another file each 100 MB."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cetacean_tools.local_cluster.audit_log import AuditLog


class Written:
    """A log, written and rotated as the API server does."""

    def __init__(self, folder: Path) -> None:
        self.file, self.log = folder / "audit.log", AuditLog(folder)
        self.file.touch()

    def write(self, *users: str, end: str = "\n") -> None:
        with self.file.open("a") as lines:
            lines.writelines(json.dumps({"user": user}) + end for user in users)

    def rotate(self, time: str) -> None:
        self.file.rename(self.file.with_name(f"audit-{time}.log"))
        self.file.touch()

    def users(self, *, since: int = 0, containing: str = "") -> list[str]:
        return [request["user"] for request in self.log.requests(since=since, containing=containing)]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_all_files_are_read_in_the_order_in_which_they_were_written(written: Written) -> None:
    written.write("a", "b")
    written.rotate("2026-01-01T09-00-00.000")
    written.write("c")
    written.rotate("2026-01-01T10-00-00.000")
    written.write("d")
    assert written.users() == ["a", "b", "c", "d"]
    assert written.users(containing='"c"') == ["c"]


@pytest.mark.parametrize("rotated", [(), (0,), (2,), (0, 1, 2, 3)])
def test_a_size_stands_for_a_time_whatever_is_rotated_then(written: Written, rotated: tuple[int, ...]) -> None:
    sizes = []
    for number in range(4):
        sizes.append(written.log.size())
        written.write(str(number))
        if number in rotated:
            written.rotate(f"2026-01-01T0{number}-00-00.000")
    for number, size in enumerate(sizes):
        assert written.users(since=size) == [str(other) for other in range(number, 4)]
    assert written.users(since=written.log.size()) == []


def test_a_line_that_is_being_written_is_left_out(written: Written) -> None:
    written.write("a")
    written.write("b", end="")
    assert written.users() == ["a"]


def test_a_file_that_is_renamed_while_it_is_read_is_read_again(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    written.write("a")
    glob = Path.glob
    calls: list[int] = []

    def renamed_after_the_list(folder: Path, pattern: str) -> Iterator[Path]:
        found = list(glob(folder, pattern))
        calls.append(len(found))
        if len(calls) == 1:
            written.rotate("2026-01-01T09-00-00.000")
            written.write("b")
        return iter(found)

    monkeypatch.setattr(Path, "glob", renamed_after_the_list)
    assert written.users() == ["a", "b"]
    assert calls == [1, 2, 2, 2]


def test_no_log_has_no_requests(tmp_path: Path) -> None:
    assert (AuditLog(tmp_path).size(), AuditLog(tmp_path).requests()) == (0, [])
