"""The demo's steps: all expectations of each must hold."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.report import Report
from cetacean_tools.demo.steps import Demo

STEPS = [
    *("first_rollout", "promotion", "refused_regression", "refused_confidently_wrong"),
    *("wrong_digest", "drift", "rollback", "shadow_agrees", "shadow_stops"),
]


@pytest.fixture(scope="module")
def demo(main_environment: Environment) -> Demo:
    return Demo(main_environment, Report(Console(file=io.StringIO(), width=200)))


# In this order: each step begins where the one before it ended, as a night on call does.
@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_demo_fulfils_its_expectations(demo: Demo, step: str) -> None:
    report = demo.report
    report.findings.clear()
    report.step(step)
    getattr(demo, step)()
    assert report.findings
    assert [finding for finding in report.findings if not finding.fulfilled] == []


def test_every_step_of_the_demo_is_tested(demo: Demo) -> None:
    assert [act.__name__ for _, act in demo.steps()] == STEPS
