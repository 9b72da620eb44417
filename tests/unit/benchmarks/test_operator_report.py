"""The tables made of the operator's measurements."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.machine import BenchmarkError
from benchmarks.operator.client import Watched
from benchmarks.operator.contestants import Argo, Floor, Ours
from benchmarks.operator.measure import Burst, Measured, Memory
from benchmarks.operator.report import BEGIN, END, figures, results, table, write


def measured(size: int, seconds: float, *, memory: Memory | None = None, singles: int = 100) -> Measured:
    def burst(times: float) -> Burst:
        return Burst(seconds * times, 2.0, Counter({"patch deployments": size, "create events": 2 * size}), 2.0 * size)

    switches = [burst(2), burst(4), burst(3)]
    return Measured(size, burst(1), switches, [n / 1000 for n in range(1, singles + 1)], memory, idle_cpu=0.004)


MEMORY = Memory(created=90.0, switched=100.0, end=101.0, peak=110.0)


def test_figures_of_one() -> None:
    found = figures(measured(10, 5.0, memory=MEMORY))
    assert (found["create_seconds"], found["switch_seconds"]) == (5.0, 15.0), "of several switches the median"
    assert (found["create_requests"], found["switch_requests"]) == (3.0, 3.0), "for each resource"
    assert found["requests_per_reconcile"] == 1.5
    assert found["single_switch_p50_ms"] == pytest.approx(50.5)
    assert found["single_switch_p95_ms"] == pytest.approx(95.05)
    assert found["single_switch_p99_ms"] == pytest.approx(99.01)
    assert (found["rss_mb"], found["peak_rss_mb"], found["idle_cpu_percent"]) == (101.0, 110.0, 0.4)


def test_a_missing_measurement_has_no_figure() -> None:
    assert figures(measured(10, 5.0, singles=0)).keys() == {
        "create_seconds",
        "switch_seconds",
        "create_requests",
        "switch_requests",
    }


def test_ours_is_compared_with_argo_at_each_size() -> None:
    found = results(
        {
            "argo": {100: measured(100, 10.0, memory=MEMORY), 1000: measured(1000, 50.0, memory=MEMORY)},
            "ours": {100: measured(100, 2.0, memory=MEMORY), 1000: measured(1000, 15.0, memory=MEMORY)},
        }
    )
    assert (found["create_ratio_vs_argo_100"], found["switch_ratio_vs_argo_1000"]) == (0.2, 0.3)
    assert (found["rss_mb_1000"], found["single_switch_p95_ms"]) == (101.0, 95.05)
    assert found["requests_of_a_switch"]["ours"]["100"] == {"create events": 200, "patch deployments": 100}
    lines = table(found).splitlines()
    assert "| 100 resources | Argo Rollouts | ours | ours / Argo |" in lines
    assert "| create all, s | 50 | 15 | 0.30 |" in lines


def test_a_contestant_without_a_process_has_no_memory() -> None:
    found = results({"floor": {10: measured(10, 1.0)}, "ours": {10: measured(10, 2.0, memory=MEMORY)}})
    assert "create_ratio_vs_argo_10" not in found
    assert "| resident memory at the end, MB | - | 101 | - |" in table(found).splitlines()


def test_figures_are_written_between_the_marks(tmp_path: Path) -> None:
    found = results({name: {10: measured(10, 1.0, memory=MEMORY)} for name in ("floor", "argo", "ours")})
    document, data = tmp_path / "benchmarks.md", tmp_path / "results" / "operator.json"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    (tmp_path / "images").mkdir()
    write(found, json_file=data, document=document)
    assert document.read_text() == f"before\n{BEGIN}\n\n{table(found)}\n\n{END}\nafter\n"
    assert json.loads(data.read_text()) == found
    assert (tmp_path / "images" / "benchmark-operator.svg").exists()
    document.write_text("no place")
    with pytest.raises(ValueError, match="expected the lines"):
        write(found, json_file=data, document=document)


async def test_a_switch_is_done_when_all_have_one_more_version() -> None:
    watched = Watched(Ours().made_of)
    watched.workload({"name": "a", "generation": 1})
    watched.expect_one_more(["a", "b"])
    watched.workload({"name": "a", "generation": 1})
    with pytest.raises(BenchmarkError, match="waited 0 s for 2 workloads: a, b"):
        await watched.reached(0.0)
    watched.workload({"name": "a", "generation": 2})
    watched.workload({"name": "b", "generation": 1})
    assert await watched.reached(1.0) == watched.moved_at


def test_a_replica_set_counts_for_its_owner_by_its_template() -> None:
    owner = [{"name": "whales"}]
    assert Argo().made_of({"ownerReferences": owner, "labels": {"rollouts-pod-template-hash": "x"}}) == ("whales", "x")
    assert Floor().made_of({"ownerReferences": owner, "labels": {"pod-template-hash": "y"}}) == ("whales", "y")
    assert Floor().made_of({"labels": {"pod-template-hash": "y"}}) is None


def test_all_contestants_get_the_same_pods() -> None:
    floor, argo = (made.manifest("whales")["spec"] for made in (Floor(), Argo()))
    assert floor["template"] == argo["template"]
    assert floor["replicas"] == argo["replicas"] == Ours().manifest("whales")["spec"]["serving"]["replicas"]
