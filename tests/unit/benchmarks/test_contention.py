"""The benchmark of processes side by side: its figures, and the time it counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.contention.__main__ import Cost, results, run_side_by_side, table
from benchmarks.machine import BenchmarkError

SPINS = "import time\nwhile time.process_time() < 0.3: pass"


def test_the_ratio_compares_the_means_of_the_processor_times() -> None:
    found = results([Cost(10.0, 6.0)], [Cost(11.0, 16.0), Cost(12.0, 17.0), Cost(13.0, 18.0)], load_average=0.25)
    assert (found["ratio"], found["processes"]) == (1.2, 3)
    assert (found["alone"], found["together"]) == (
        {"processor": 10.0, "wall": 6.0},
        {"processor": 12.0, "wall": 17.0},
    )
    assert "| processor time of each process, s | 10 | 12 | 1.20 |" in table(found)
    assert "| time, s | 6 | 17 | 2.83 |" in table(found)


def test_the_processor_time_of_each_process_is_counted(tmp_path: Path) -> None:
    costs = run_side_by_side([[sys.executable, "-c", SPINS]] * 2, log=tmp_path / "log")
    assert len(costs) == 2
    assert all(0.3 <= cost.processor < 5 for cost in costs)


def test_a_process_that_fails_is_an_error_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="failed, see"):
        run_side_by_side([[sys.executable, "-c", "print('words'); raise SystemExit(1)"]], log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "words\n"
