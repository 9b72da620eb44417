"""How long a download may take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.pace import Pace

SETTINGS = FetchSettings(min_bytes_per_second=10, min_rate_after_seconds=60, max_bytes=1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a test sets."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("cetacean_inference.weights.pace.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_bytes_add_the_time_that_they_need_at_the_least_rate(clock: SimpleNamespace) -> None:
    pace = Pace(SETTINGS)
    assert pace.remaining() == 60
    pace.reach(100)
    assert pace.remaining() == 70
    clock.now += 71
    assert pace.remaining() == -1
    assert str(pace) == "expected at least 10 bytes per second after 60 s, got 100 bytes in 71 s"


def test_bytes_that_are_sent_again_add_nothing(clock: SimpleNamespace) -> None:
    pace = Pace(SETTINGS)
    pace.reach(100)
    pace.reach(50)
    assert pace.remaining() == 70


def test_bytes_that_were_there_add_nothing_unless_they_are_asked_for_again(clock: SimpleNamespace) -> None:
    pace = Pace(SETTINGS)
    clock.now += 500
    pace.begin(100)
    pace.reach(110)
    assert pace.remaining() == 61
    pace.restart()
    assert pace.remaining() == 71


def test_no_file_takes_longer_than_the_largest_at_the_least_rate(clock: SimpleNamespace) -> None:
    pace = Pace(SETTINGS)
    pace.reach(1000)
    assert pace.remaining() == pace.longest_seconds == 160
