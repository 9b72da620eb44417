"""The benchmark of processes side by side: its figures, and the time it counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.clients import Seen
from benchmarks.contention import service
from benchmarks.contention.__main__ import Cost, results, run_side_by_side, table
from benchmarks.contention.service import Turns, busy_processes, keeps_bounds, processor_seconds
from benchmarks.machine import BenchmarkError

SPINS = "import time\nwhile time.process_time() < 0.3: pass"


def test_the_ratio_compares_the_means_of_the_processor_times() -> None:
    found = results([Cost(10.0, 6.0)], [Cost(11.0, 16.0), Cost(12.0, 17.0), Cost(13.0, 18.0)], load_average=0.25)
    assert (found["ratio"], found["processes"]) == (1.2, 3)
    assert (found["alone"], found["together"]) == (
        {"processor": 10.0, "wall": 6.0},
        {"processor": 12.0, "wall": 17.0},
    )
    found["service"] = service.results(Turns(Seen([0.1] * 100, 10.0), 5.0), Turns(Seen([0.3] * 30, 10.0), 1.65))
    lines = table(found).splitlines()
    assert "| processor time of each process, s | 10 | 12 | 1.20 |" in lines
    assert "| time, s | 6 | 17 | 2.83 |" in lines
    assert "| pictures/s | 10 | 3 | 0.30 |" in lines
    assert "| processor time, ms | 50 | 55 | 1.10 |" in lines


@pytest.mark.parametrize(("pictures", "processor", "expected"), [(30, 1.65, True), (24, 1.2, False), (30, 1.9, False)])
def test_the_service_may_lose_its_share_of_the_processors_and_no_more(
    pictures: int, processor: float, expected: bool
) -> None:
    alone, beside = Turns(Seen([0.1] * 100, 10.0), 5.0), Turns(Seen([0.3] * pictures, 10.0), processor)
    assert keeps_bounds(service.results(alone, beside)) is expected


def test_the_processor_time_of_a_process_includes_its_children() -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], input=b'')"
    script = f"{SPINS}\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", nested.replace("input=b''", "stdin=sys.stdin"), script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        # The kernel shows user and system time of each process in whole hundredths of a second, rounded down.
        assert 0.25 <= processor_seconds(process.pid) < 5


def test_busy_processes_end_with_their_block() -> None:
    with busy_processes(2):
        children = {int(one) for one in _children()}
        assert len(children) == 2
    assert not children & {int(one) for one in _children()}


def _children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="utf-8").split()


def test_the_processor_time_of_each_process_is_counted(tmp_path: Path) -> None:
    costs = run_side_by_side([[sys.executable, "-c", SPINS]] * 2, log=tmp_path / "log")
    assert len(costs) == 2
    assert all(0.3 <= cost.processor < 5 for cost in costs)


def test_a_process_that_fails_is_an_error_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="failed, see"):
        run_side_by_side([[sys.executable, "-c", "print('words'); raise SystemExit(1)"]], log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "words\n"
