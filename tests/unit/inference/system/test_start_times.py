"""The parts of a process's start, as its log and its metric name them."""

from __future__ import annotations

import pytest

from cetacean_inference.system.start_times import StartTimes, process_seconds


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_part_inside_another_counts_once() -> None:
    clock = Clock()
    times = StartTimes(clock=clock)
    with times.measure("load"):
        clock.now += 2.0
        with times.measure("convert"):
            clock.now += 30.0
        clock.now += 1.0
    assert times.seconds == {"load": 3.0, "convert": 30.0}


def test_the_times_of_one_part_add_up_and_are_named_in_the_order_of_a_start() -> None:
    clock = Clock()
    times = StartTimes(clock=clock)
    for part in ("load", "verify", "verify"):
        with times.measure(part):
            clock.now += 0.25
    assert str(times) == "0.750 s: verify 0.500 s, load 0.250 s"


def test_a_part_that_fails_is_measured_too() -> None:
    clock = Clock()
    times = StartTimes(clock=clock)

    def fail() -> None:
        with times.measure("fetch"):
            clock.now += 1.0
            raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        fail()
    assert times.seconds == {"fetch": 1.0}


def test_a_process_knows_how_long_ago_it_began() -> None:
    first = process_seconds()
    assert 0.0 < first <= process_seconds()
    begun = StartTimes.of_process().seconds["process"]
    assert begun >= first
