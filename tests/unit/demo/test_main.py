"""The demo's exit code, and the end of its cluster: after success, failures, errors and interruptions."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.fake_cluster import FakeCluster

from cetacean_tools.demo import __main__ as program
from cetacean_tools.demo import installation
from cetacean_tools.demo.report import Report
from cetacean_tools.workspace import ToolError

Step = Callable[[Report], None]


@dataclass
class Stage:
    """The demo's main program with a cluster and steps of the test."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    steps: list[Step] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        """Run the program and return its exit code."""
        stage = self

        class Demo:
            def __init__(self, _: object, report: Report) -> None:
                self._report = report

            def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
                for step in stage.steps:
                    yield "step", lambda step=step: step(self._report)  # type: ignore[misc]

        @contextmanager
        def installed(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            yield SimpleNamespace(environment=lambda _: None, kubectl=None)

        monkeypatch.setattr(sys, "argv", ["demo", *arguments])
        for name, value in {
            "check": lambda **_: None,
            "ensure_models": lambda **_: None,
            "choose": lambda: self.cluster,
            "installed": installed,
            "Demo": Demo,
        }.items():
            monkeypatch.setattr(program, name, value)
        monkeypatch.setattr(installation, "build_images", lambda _: None)
        monkeypatch.setattr(installation, "load_images", lambda *_: None)
        monkeypatch.setattr(installation, "remove", lambda _, *names: self.removed.extend(names))
        return program.main()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield Stage()
    for number, handler in before.items():
        signal.signal(number, handler)


def works(report: Report) -> None:
    report.expect("two pods", 2, fulfilled=True)


def does_not_work(report: Report) -> None:
    report.expect("two pods", 1, fulfilled=False)


def ends_with_an_error(_: Report) -> None:
    raise ToolError("waited 120 s for two pods")


def is_interrupted_by(number: signal.Signals) -> Step:
    def step(_: Report) -> None:
        os.kill(os.getpid(), number)
        pytest.fail("the signal interrupts nothing")

    return step


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([works, works], 0),
        ([works, does_not_work, works], 1),
        ([ends_with_an_error], 1),
        ([works, ends_with_an_error], 1),
        ([], 1),
        ([is_interrupted_by(signal.SIGINT)], 130),
        ([works, is_interrupted_by(signal.SIGTERM)], 130),
        ([works, is_interrupted_by(signal.SIGHUP)], 130),
    ],
    ids=["as expected", "a failure", "an error", "an error later", "nothing seen", "Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_the_exit_code_says_if_all_was_as_expected_and_the_cluster_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, steps: list[Step], code: int
) -> None:
    stage.steps = steps
    assert stage.run(monkeypatch) == code
    assert stage.cluster.calls == ["up owned=True", "down"]


def test_no_step_runs_after_an_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.steps = [ends_with_an_error, lambda _: pytest.fail("it went on")]
    assert stage.run(monkeypatch) == 1


def test_a_cluster_that_does_not_start_is_an_error_and_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.cluster.broken = True
    assert stage.run(monkeypatch) == 1
    assert stage.cluster.calls[-1] == "down"
    assert capsys.readouterr().err == "error: kubelet ended with exit code 1\n"


@pytest.mark.parametrize("step", [works, ends_with_an_error, is_interrupted_by(signal.SIGINT)])
def test_a_cluster_that_was_up_stays_without_what_the_demo_installed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    stage.cluster.running = True
    stage.steps = [step]
    stage.run(monkeypatch)
    assert "down" not in stage.cluster.calls
    assert stage.removed == [program.NAMESPACE, installation.OPERATOR_NAMESPACE]


def test_keep_leaves_the_cluster_up_and_prints_how_to_reach_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.steps = [works]
    assert stage.run(monkeypatch, "--keep") == 0
    assert stage.cluster.calls == ["up owned=False"]
    assert "export KUBECONFIG=/nowhere/kubeconfig" in capsys.readouterr().out


def test_prepare_starts_no_cluster(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Any) -> None:
        pytest.fail("a step ran")

    stage.steps = [fails]
    assert stage.run(monkeypatch, "--prepare") == 0
    assert stage.cluster.calls == []
