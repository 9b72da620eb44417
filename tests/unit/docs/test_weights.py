"""The table of cases and schemes in docs/weights.md names tests that exist and run for each scheme."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs/weights.md").read_text(encoding="utf-8")
TESTS = REPOSITORY / "tests/unit/inference/weights"
CASES = ("good", "missing", "denied", "truncated", "resumed", "wrong digest", "wrong authority")
COLUMNS = {1: TESTS / "test_remote_schemes.py", 2: TESTS / "test_mounted_schemes.py"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("column", COLUMNS)
def test_each_case_names_a_test_for_each_scheme_or_says_why_there_is_none(case: str, column: int) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {case} |")]
    cell = row.strip("| ").split(" | ")[column]
    if cell.startswith("none: "):
        return
    name = cell.strip("`")
    assert re.search(rf"^@EACH\ndef {name}\(", COLUMNS[column].read_text(encoding="utf-8"), re.MULTILINE)
