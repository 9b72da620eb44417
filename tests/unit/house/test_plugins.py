"""The tests' own plugins of pytest: skips in CI, and the order of tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from support import order

TESTS = Path(__file__).resolve().parents[2]
SKIPS = {
    "in_the_test": "def test_it(): pytest.skip('no such machine')",
    "by_a_mark": "@pytest.mark.skip(reason='no such machine')\ndef test_it(): ...",
    "by_a_condition": "@pytest.mark.skipif(True, reason='no such machine')\ndef test_it(): ...",
    "by_a_fixture": "@pytest.fixture\ndef machine(): pytest.skip('no such machine')\ndef test_it(machine): ...",
    "of_the_module": "pytest.skip('no such machine', allow_module_level=True)\ndef test_it(): ...",
}
NO_FAULTS = {
    "expected": "def test_it(): pytest.skip('needs the local cluster, not kind')",
    "failing": "@pytest.mark.xfail\ndef test_it(): assert False",
}


def run(folder: Path, *, ci: str) -> dict[str, tuple[str, str]]:
    """Run the modules of a folder as CI or a person does it; return each one's outcome and its reason."""
    options = ("-p", "no:cacheprovider", "-p", "support.skips", "-ra", "--continue-on-collection-errors")
    environment = {"PYTHONPATH": str(TESTS), "CI": ci, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = re.findall(r"^(\w+) (?:\[1\] )?test_(\w+)\.py(?:::test_it)?(?::\d+)?(.*)", done.stdout, re.MULTILINE)
    return {name: (outcome, text) for outcome, name, text in lines}


def test_only_expected_skips_are_no_failures_in_ci(tmp_path: Path) -> None:
    for name, module in (SKIPS | NO_FAULTS).items():
        (tmp_path / f"test_{name}.py").write_text(f"import pytest\n{module}\n")
    elsewhere = run(tmp_path, ci="")
    assert {outcome for outcome, _ in elsewhere.values()} == {"SKIPPED", "XFAIL"}
    in_ci = run(tmp_path, ci="true")
    failed = {name: text for name, (outcome, text) in in_ci.items() if outcome in ("FAILED", "ERROR")}
    assert failed.keys() == SKIPS.keys()
    assert all("skipped: no such machine" in text for text in failed.values())


class Item:
    """A test, as far as the plugin needs it."""

    def __init__(self, module: str, name: str) -> None:
        self.path, self.name = Path(module), name


def ordered(option: str | None) -> list[tuple[str, str]]:
    items = [Item(module, str(number)) for module in ("a.py", "b.py") for number in range(9)]
    config = SimpleNamespace(getoption={"--order": option}.__getitem__)
    order.pytest_collection_modifyitems(cast("pytest.Config", config), cast("list[pytest.Item]", items))
    return [(item.path.name, item.name) for item in items]


def test_the_order_of_a_module_is_that_of_its_file_reversed_or_random() -> None:
    written = ordered(None)
    assert ordered("reversed") == [*written[8::-1], *written[:8:-1]]
    seeded = ordered("1")
    assert [module for module, _ in seeded] == [module for module, _ in written]
    assert sorted(seeded) == written
    assert seeded != written
    assert ordered("1") == seeded
    assert ordered("2") != seeded
