"""The benchmark of a switch: its parts, its table, and the folder of the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.pictures import PANELS, draw
from benchmarks.switch.cache import hidden
from benchmarks.switch.report import medians, table
from benchmarks.switch.timeline import FETCHED, PARTS, READY, Answer, Pod, Started, answers, started, switch, unix_time
from benchmarks.switch.weights import HEAD, demo_size
from safetensors.torch import save_file

from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo_models import DemoModels

FETCH_LOG = (
    "2026-11-30T04:00:01.5Z 2026-11-30 04:00:01,500 INFO https://x/a: complete, 1.0 MiB\n"
    "2026-11-30T04:00:09.250000000Z 2026-11-30 04:00:09,250 INFO fetched everything after 8.000 s: process 0.500 s, "
    "fetch 7.250 s, verify 0.250 s\n"
)
SERVE_LOG = (
    '2026-11-30T04:00:20Z {"level": "INFO", "message": "ready to compute with openvino-bf16 after 9.000 s: process 1.000 s, '
    'verify 0.500 s, convert 3.000 s, load 4.000 s, warm_up 0.500 s", "timestamp": "2026-11-30T04:00:20+00:00"}\n'
)


def test_the_log_of_a_container_has_the_parts_of_its_start() -> None:
    fetch, serve = started(FETCH_LOG, FETCHED), started(SERVE_LOG, READY)
    assert fetch.parts == {"process": 0.5, "fetch": 7.25, "verify": 0.25}
    assert fetch.end == unix_time("2026-11-30T04:00:09.25Z")
    assert fetch.begin == fetch.end - 8.0
    assert serve.parts == {"process": 1.0, "verify": 0.5, "convert": 3.0, "load": 4.0, "warm_up": 0.5}
    with pytest.raises(ValueError, match="expected a line with 'ready to compute'"):
        started(FETCH_LOG, READY)


def figures(**answers_at: float) -> dict[str, Any]:
    fetch = Started(110.0, {"process": 0.5, "fetch": 7.0, "verify": 0.5})
    serve = Started(120.0, {"process": 1.0, "verify": 0.5, "convert": 3.0, "load": 4.0, "warm_up": 0.5})
    seen = [Answer(at, None if name == "failed" else name) for name, at in answers_at.items()]
    return switch(100.0, Pod(101.0, 121.0), fetch, serve, seen, new="new")


def test_the_parts_add_up_to_the_first_answer_of_the_new_version() -> None:
    found = figures(before=99.0, old=122.5, failed=122.6, new=122.0)
    assert found["parts_s"] == {
        "operator": 1.0,
        "pull": 2.0,
        "process": 1.5,
        "fetch": 7.0,
        "verify": 1.0,
        "convert": 3.0,
        "load": 4.0,
        "warm_up": 0.5,
        "readiness": 1.0,
        "endpoints": 1.0,
    }
    assert sum(found["parts_s"].values()) == found["first_answer_s"] == 22.0
    assert (found["last_answer_of_old_s"], found["rest_s"]) == (22.5, 11.0)
    assert (found["answers"], found["failed"]) == (3, 1), "what came before does not count"


def test_a_new_version_that_never_answers_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected an answer of version new"):
        figures(old=105.0)


def test_the_log_of_the_client_has_versions_and_failures() -> None:
    lines = [{"at": 1.0, "status": 200, "version": "a"}, {"at": 2.0, "status": 0, "error": "refused"}]
    log = "\n".join(["a warning", *map(json.dumps, lines), '{"at": 3.0, "sta'])
    assert answers(log) == [Answer(1.0, "a"), Answer(2.0, None)]


def results() -> dict[str, Any]:
    one, other = figures(new=122.0), figures(new=124.0)
    return {
        "processor": "P",
        "processors": 2,
        "load_average_before": 0.5,
        "weights_mb": 106,
        "gate_mb": 605,
        "store_mb_a_second": 100.0,
        "rounds": 2,
        "scenarios": {"cold": {"ours": medians([one, other]), "argo": medians([other])}, "shared": {}},
    }


def test_the_table_has_the_medians_of_each_program_and_scenario() -> None:
    lines = table(results()).splitlines()
    assert lines[0].startswith(
        "Medians of 2 switches each on 2 processors (P), load average before 0.5; weights of 106 MB"
    )
    assert lines[2] == "| seconds | cold cache, ours | cold cache, Argo Rollouts |"
    assert "| **first answer of the new version** | 23.00 | 24.00 |" in lines
    assert "| all but fetch and load | 12.00 | 13.00 |" in lines
    assert "| answers, of them failed | 2, 0 | 1, 0 |" in lines
    assert table({**results(), "rounds": 1}).startswith("One switch each")


def test_the_picture_stacks_the_parts(tmp_path: Path) -> None:
    (panel,) = PANELS["switch"](results())
    assert panel.groups == ("cold cache,\nours", "cold cache,\nArgo Rollouts")
    assert [name for name, _ in panel.bars] == [name.replace("`", "") for name in PARTS.values()]
    assert "convert" in draw("switch", results(), folder=tmp_path).read_text(encoding="utf-8")


def test_a_hidden_cache_is_empty_and_returns_beside_what_has_come(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("blobs/sha256/a", "derived/network-a/record.json"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("before", encoding="utf-8")
    with hidden(cache):
        assert list((cache / "blobs/sha256").iterdir()) == []
        (cache / "blobs/sha256/a").write_text("again", encoding="utf-8")
        (cache / "blobs/sha256/b").write_text("new", encoding="utf-8")
    assert {path.name: path.read_text(encoding="utf-8") for path in (cache / "blobs/sha256").iterdir()} == {
        "a": "again",
        "b": "new",
    }
    assert (cache / "derived/network-a/record.json").read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_the_store_can_read_what_it_serves_and_each_version_has_other_bytes(tmp_path: Path) -> None:
    base = ModelEntry(
        name="a",
        version="1.0.0",
        architecture="X",
        weights_url="https://x/a",
        weights_path="weights/a.safetensors",
        sha256="0" * 64,
    )
    trained, folder = tmp_path / "trained", tmp_path / "served"
    for name in ("weights", "gate"):
        (trained / name).mkdir(parents=True)
    folder.mkdir()
    save_file({HEAD: torch.ones(4, 8)}, trained / "weights/a.safetensors")
    for path in ("weights/encoder_classes.npy", "weights/species_map.csv", "gate/gate.safetensors", "gate/config.json"):
        (trained / path).write_bytes(b"x")
        (trained / path).chmod(0o600)
    (trained / "anti_fraud_threshold.yaml").write_text("threshold: 0.3\n", encoding="utf-8")
    made = demo_size(folder, base, DemoModels(trained), versions=2).served_at("http://store")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}, "the store has another user"
    assert len({entry.sha256 for entry in made.entries}) == 2
    assert made.entries[0].weights_url == "http://store/switched-1.safetensors"
    assert made.anti_fraud["model"]["weightsURL"] == "http://store/gate.safetensors"
