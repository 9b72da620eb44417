"""Exclusive use of the cluster."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path

import pytest
from support.fake_cluster import FakeCluster

from cetacean_tools.local_cluster.use import exclusive_use


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path))


def test_a_cluster_that_is_kept_does_not_end_with_the_process() -> None:
    cluster = FakeCluster()
    with exclusive_use(cluster, keep=True) as found_up:
        assert not found_up
    assert cluster.calls == ["up owned=False"]


def test_a_second_run_says_that_it_waits_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    second, waits = FakeCluster(), threading.Event()

    class Errors(io.StringIO):
        def write(self, text: str) -> int:
            if "waiting for its end" in text:
                waits.set()
            return super().write(text)

    def run() -> None:
        with exclusive_use(second):
            pass

    monkeypatch.setattr(sys, "stderr", Errors())
    thread = threading.Thread(target=run)
    with exclusive_use(FakeCluster(running=True)) as found_up:
        assert found_up
        thread.start()
        assert waits.wait(30)
        assert second.calls == []
    thread.join(30)
    assert second.calls == ["up owned=True", "down"]
