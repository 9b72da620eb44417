"""docs/custom-resource.md names every condition, reason and annotation that the code can write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cetacean_operator.api import names
from cetacean_operator.decisions import failures

REPOSITORY = Path(__file__).resolve().parents[3]
TEXT = (REPOSITORY / "docs/custom-resource.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([A-Za-z./-]+)`", TEXT))
SOURCES = [
    path.read_text(encoding="utf-8")
    for path in sorted((REPOSITORY / "operator/cetacean_operator/decisions").glob("*.py"))
]


@pytest.mark.parametrize("condition", names.CONDITIONS)
def test_each_condition_is_documented(condition: str) -> None:
    assert condition in NAMED


@pytest.mark.parametrize(
    "reason", sorted({*failures.PRECEDENCE, *names.TERMINATION_REASONS, "ProgressDeadlineExceeded"})
)
def test_each_reason_of_a_failure_is_documented(reason: str) -> None:
    assert reason in NAMED


def test_reasons_and_events_in_the_code_are_documented() -> None:
    written = set()
    for source in SOURCES:
        written |= set(re.findall(r'ConditionState\(\s*"(?:True|False|Unknown)",\s*"(\w+)"', source))
        written |= set(re.findall(r'EventSpec\(\s*"(?:Normal|Warning)",\s*"(\w+)"', source))
    assert len(written) > 25
    assert written - NAMED == set()


def test_transient_failures_are_marked_in_the_document() -> None:
    assert set(re.findall(r"\*`(\w+)`\*", TEXT)) == failures.TRANSIENT
