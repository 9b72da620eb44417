"""The table and the picture of a soak."""

from __future__ import annotations

from pathlib import Path

from benchmarks import pictures
from soak.report import table
from soak.run import kind_of


def test_the_table_has_changes_and_faults_apart(tmp_path: Path) -> None:
    lines = [
        *("create a: active demo_v1", "promote a: active demo_v2", "kubectl delete pods -l a=b"),
        *("kill the operator", "kill etcd", "kill etcd", "cut the operator (10.0.0.1) off the API server for 15 s"),
    ]
    kinds = [kind_of(line) for line in lines]
    assert kinds[:4] == ["create", "promote", "kubectl delete", "kill the operator"]
    found = {
        "seed": 7,
        "minutes": 60.4,
        "done": {kind: kinds.count(kind) for kind in kinds},
        "rounds": 3,
        "settled_after_s": {"median": 20.5, "longest": 44.1},
        "operator_processes": 2,
        "resident_mb": [84.9, 96.25, 88.0],
        "open_files": [40, 31, 35],
    }
    shown = table(found)
    assert shown.startswith("60 minutes with the seed 7.\n\n| | |\n|---|---:|\n| changes of users | 3 |\n")
    assert "| kill etcd | 2 |\n| cut the operator | 1 |\n| stop the kubelet | 0 |" in shown
    assert "| until it did, s: median, longest | 20.5, 44.1 |" in shown
    assert "MB: lowest, median, highest | 84.9, 88, 96.25 |" in shown
    assert "files: lowest, median, highest | 31, 35, 40 |" in shown
    assert ">44.1<" in pictures.draw("soak", found, folder=tmp_path).read_text(encoding="utf-8")
