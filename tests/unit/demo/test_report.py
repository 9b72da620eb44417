"""The demo's findings, on a console and in a table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cetacean_tools.demo.report import Report


@pytest.fixture
def report() -> Report:
    return Report(Console(file=io.StringIO(), width=120, color_system=None))


def printed(report: Report) -> str:
    file = report.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_report_without_findings_is_not_fulfilled(report: Report) -> None:
    assert not report.fulfilled


def test_a_report_is_fulfilled_if_every_finding_is(report: Report) -> None:
    report.step("1. First")
    report.expect("two pods", 2, fulfilled=True)
    assert report.fulfilled
    report.expect("no failures", 1, fulfilled=False)
    assert not report.fulfilled
    report.expect("a way on", "yes", fulfilled=True)
    assert not report.fulfilled, "one failure stays"


def test_each_finding_is_shown_as_it_comes(report: Report) -> None:
    report.step("1. First")
    report.expect("two pods", 2, fulfilled=True)
    report.expect("no failures", 1, fulfilled=False)
    lines = printed(report).splitlines()
    assert "1. First" in lines[1]
    assert lines[2:] == ["  as expected: two pods — saw 2", "  NOT as expected: no failures — saw 1"]


def test_messages_of_the_cluster_are_not_read_as_markup(report: Report) -> None:
    report.show("[red]x[/red] [/nothing]")
    report.expect("[a]", "[/b]", fulfilled=True)
    assert printed(report).splitlines() == ["[red]x[/red] [/nothing]", "  as expected: [a] — saw [/b]"]


def test_an_error_is_a_finding(report: Report) -> None:
    report.step("1. First")
    report.fail(TimeoutError("too long"))
    (finding,) = report.findings
    assert (finding.step, finding.seen, finding.fulfilled) == ("1. First", "TimeoutError: too long", False)
    assert not report.fulfilled


def test_the_table_names_each_step_once_and_keeps_the_order(report: Report) -> None:
    report.step("1. First")
    report.expect("a", 1, fulfilled=True)
    report.expect("b", 2, fulfilled=False)
    report.step("2. Second")
    report.expect("c", "[/odd]", fulfilled=True)
    report.console.print(report.table())
    table = printed(report).partition("What the demo saw")[2]
    assert table.count("1. First") == 1
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table.splitlines() if "│" in line]
    assert [(row[0], row[1], row[2], row[4]) for row in rows] == [
        ("1. First", "a", "1", "yes"),
        ("", "b", "2", "NO"),
        ("2. Second", "c", "[/odd]", "yes"),
    ]
