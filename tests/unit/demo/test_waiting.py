"""Waiting for something to become so, by a clock of the test's own."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from cetacean_tools.demo.waiting import NotSoError, until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that has passed; sleeping lets it pass."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


def test_a_true_value_is_returned_without_waiting(clock: list[float]) -> None:
    assert until("it", lambda: "here") == "here"
    assert clock == [0.0]


def test_a_value_that_becomes_true_is_returned(clock: list[float]) -> None:
    answers: Iterator[object] = itertools.chain([None, {}, 0], itertools.repeat("here"))
    assert until("it", lambda: next(answers)) == "here"
    assert 0 < clock[0] < 2


def test_a_timeout_names_the_last_value(clock: list[float]) -> None:
    with pytest.raises(NotSoError, match=r"^waited 5 s for the pods to go, last seen: \[\]$"):
        until("the pods to go", list, within=5)
    assert 5 < clock[0] < 6


def test_a_timeout_names_what_was_there_instead(clock: list[float]) -> None:
    with pytest.raises(NotSoError, match=r"^waited 5 s for Drifting=False, last seen: Drifting=True: fog$"):
        until("Drifting=False", dict, within=5, shown=lambda: "Drifting=True: fog")
    assert clock[0] > 5


def test_an_error_of_the_probe_is_not_hidden(clock: list[float]) -> None:
    def broken() -> bool:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        until("it", broken)
    assert clock == [0.0]
