"""In CI a skipped test fails, unless its reason is one that is expected there: a skip must not hide that nothing ran.

A plugin of pytest; `tests/conftest.py` installs it.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

EXPECTED = ("needs the local cluster", "expected a processor that computes in bfloat16")
"""How the expected reasons begin: CI's machines have Docker, so that kind is used, and differ in their processors."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips itself, or that a mark or a fixture skips."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that skips itself, as `pytest.importorskip` does."""
    report = yield
    _judge(report)
    return report


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = text.removeprefix("Skipped: ")
    if not reason.startswith(EXPECTED):
        report.outcome = "failed"
        report.longrepr = f"skipped: {reason}\nCI runs every test: expected no skip but those of tests/support/skips.py"
