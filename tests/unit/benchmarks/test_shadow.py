"""The benchmark of shadows: its figures and its table."""

from __future__ import annotations

import pytest
from benchmarks.clients import Seen
from benchmarks.shadow.report import SHARES, Turns, results, table


def test_the_table_has_a_column_for_each_share() -> None:
    turns = {share: Turns(Seen([0.1] * 50, 10.0), 1.0, 50, 40, 8, 0) for share in SHARES}
    turns[1.0].seen.latencies += [0.3] * 50
    found = results(turns, clients=4, rounds=2, load_before=1.25)
    assert found["shares"]["0"] == {
        "pictures_s": 5.0,
        "p50_ms": 100.0,
        "p95_ms": 100.0,
        "processor_ms": 20.0,
        "answered": 50,
        "sampled": 50,
        "compared": 40,
        "dropped": 8,
        "failed": 0,
    }
    lines = table(found).splitlines()
    assert "4 clients; load average before 1.2, at the end" in lines[0]
    assert "| share of pictures copied | 0 | 0.25 | 1 |" in lines
    assert "| pictures/s | 5 | 5 | 10 |" in lines
    assert "| latency p95, ms | 100 | 100 | 300 |" in lines
    assert found["load_average_before"] == pytest.approx(1.2)
