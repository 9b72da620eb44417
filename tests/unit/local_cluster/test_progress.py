"""Progress of builds without a terminal: a line at the start, at the end, and every twenty seconds."""

from __future__ import annotations

import time

import pytest

from cetacean_tools.local_cluster.progress import step


def test_a_step_prints_its_start_its_progress_now_and_then_and_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with step("building helm", 300, "packages") as advance:
        for done, clock[0] in ((10, 5.0), (100, 21.0), (150, 25.0), (250, 42.0)):
            advance(done)
        clock[0] = 50.0
    assert capsys.readouterr().err.splitlines() == [
        "building helm: 300 packages",
        "building helm: 100 of 300, 21 s",
        "building helm: 250 of 300, 42 s",
        "building helm: done in 50 s",
    ]
