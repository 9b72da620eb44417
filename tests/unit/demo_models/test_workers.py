"""Work in other processes: in order, failures come back, nobody stays."""

from __future__ import annotations

import math
import multiprocessing

import pytest

from cetacean_tools.demo_models.workers import Workers, cores


def test_results_come_in_order_and_the_processes_end() -> None:
    numbers = list(range(100))
    with Workers() as workers:
        assert list(workers.map(math.sqrt, numbers, chunk=10)) == [math.sqrt(number) for number in numbers]
        with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
            list(workers.map(math.sqrt, [1, -1]))
    assert multiprocessing.active_children() == []


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1
