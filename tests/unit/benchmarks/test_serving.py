"""The benchmark beside other model servers: its table, the choice of an engine, requests, and answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from benchmarks.clients import Seen, multipart
from benchmarks.machine import BenchmarkError
from benchmarks.serving import engines, report
from benchmarks.serving.answers import require_equal
from benchmarks.serving.contestants import CONTESTANTS, OURS, instances, of_a_list, predictions
from benchmarks.serving.environments import REQUIREMENTS
from benchmarks.serving.report import CLIENTS, Measured, behind_rows, results, table
from benchmarks.serving.switching import Switch

ANSWER: dict[str, Any] = {
    "bbox": [0, 0, 4, 3],
    "class_animal": "id1",
    "id_animal": "orca",
    "probability": 0.5,
    "is_cetacean": True,
    "cetacean_score": 0.9,
    "rejected": False,
    "rejection_reason": None,
    "model_version": "1.0.0",
}


def measured(*, latency: float, memory: float, failed: int = 0) -> Measured:
    one = Measured(memory_mb=[memory - 5, memory], ready_seconds=[3.0, 9.0, 4.0])
    for clients in CLIENTS:
        one.seen[clients] = Seen([latency] * 10, 10 * latency / clients)
    one.switches.append(Switch([latency, 2 * latency], ["ReadError: "] * failed, 5.0))
    return one


def found(**others: Measured) -> dict[str, Any]:
    return results(others, engines={"peers": "openvino"}, rounds=1, load_before=0.5)


def test_the_table_has_a_column_for_each_server_and_marks_the_best() -> None:
    both = found(LitServe=measured(latency=0.2, memory=900, failed=3), ours=measured(latency=0.1, memory=1000))
    lines = table(both).splitlines()
    assert "| | LitServe | ours | ours / best of the others |" in lines
    assert "| 1 client: pictures/s | 5 | **10** | 2.00 |" in lines
    assert "| 16 clients: latency p95, ms | 200 | **100** | 0.50 |" in lines
    assert "| memory, MB | **900** | 1000 | 1.11 |" in lines
    assert "| time to the first answer, s | **4** | **4** | 1.00 |" in lines
    assert "| switch: requests that fail | 3 | **0** | 0.00 |" in lines
    assert "| switch: longest latency, ms | 400 | **200** | 0.50 |" in lines
    assert lines[-1].endswith("Ours is behind in: memory, MB.")


def test_a_row_without_failures_has_no_ratio() -> None:
    both = found(KServe=measured(latency=0.2, memory=1000), ours=measured(latency=0.1, memory=900))
    assert "| switch: requests that fail | **0** | **0** | - |" in table(both).splitlines()
    assert behind_rows(both) == []
    assert table(both).endswith("Ours is behind in no row.")


def test_the_figures_are_of_all_rounds() -> None:
    one = measured(latency=0.1, memory=900, failed=1)
    one.switches.append(Switch([0.7], ["ReadError: "], 9.0))
    figures = one.figures()
    assert figures["memory_mb"] == 900, "the highest"
    assert figures["ready_seconds"] == 4.0, "the median"
    assert (figures["switch_failed"], figures["switch_answered"]) == (2, 3)
    assert (figures["switch_longest_ms"], figures["switch_seconds"]) == (700, 7)


def engine(*times: float, disagrees: str | None = None) -> dict[str, Any]:
    return {"picture_ms": dict(zip(("1", "4"), times, strict=True)), "deviation": 0.0, "disagrees": disagrees}


def tried(**gate: Any) -> dict[str, Any]:
    return {
        "cpu": "a processor",
        "cpus": 2,
        "load_average_at_end": 0.5,
        "networks": {"gate": gate, "identification": {"onnxruntime": engine(30, 20)}},
    }


def test_the_fastest_engine_that_agrees_is_chosen() -> None:
    both = tried(openvino=engine(5, 4, disagrees="it is 0.007 away"), onnxruntime=engine(9, 8))
    assert engines.choose(both) == {"gate": "onnxruntime", "identification": "onnxruntime"}
    lines = engines.table(both).splitlines()
    assert "| ONNX Runtime | **9** | **8** | **30** | **20** |" in lines
    assert "| OpenVINO with its defaults | 5 \\* | 4 \\* | - | - |" in lines
    assert lines[-1] == "- OpenVINO with its defaults, gate: it is 0.007 away."


def test_an_engine_that_the_peers_lack_is_an_error() -> None:
    fastest = {"torch-eager": engine(1, 1), "onnxruntime": engine(9, 8)}
    with pytest.raises(BenchmarkError, match=r"got torch-eager; add torch to"):
        engines.choose(tried(**fastest))


def test_servers_must_answer_alike() -> None:
    require_equal("KServe", [{**ANSWER, "probability": 0.5004, "image_ind": "other"}], [ANSWER])
    with pytest.raises(
        BenchmarkError, match=r"^KServe: .* another class_animal for picture 2: 'id2' instead of 'id1'$"
    ):
        require_equal("KServe", [ANSWER, {**ANSWER, "class_animal": "id2"}], [ANSWER, ANSWER])
    for value in (0.51, float("nan")):
        with pytest.raises(BenchmarkError, match="another probability for picture 1"):
            require_equal("KServe", [{**ANSWER, "probability": value}], [ANSWER])


def test_requests_carry_the_picture_and_answers_are_read() -> None:
    form = multipart(b"a picture", path="/predict", field="pictures")
    assert form.path == "/predict"
    assert b'name="pictures"; filename="picture.jpg"' in form.body
    assert b"a picture" in form.body
    body = json.loads(instances(b"a picture").body)
    assert base64.b64decode(body["instances"][0]["image"]["b64"]) == b"a picture"
    assert predictions({"predictions": [ANSWER]}) == ANSWER == of_a_list([ANSWER])


def test_every_peer_has_pinned_requirements_and_ours_has_none() -> None:
    peers = {one.name: one.requirements for one in CONTESTANTS if one.requirements}
    assert set(peers) == {one.name for one in CONTESTANTS} - {OURS}
    assert report.OURS == OURS
    for name in peers.values():
        assert f"{name}.in" in {file.name for file in REQUIREMENTS.iterdir()}
        assert "--hash=sha256:" in (REQUIREMENTS / f"{name}.lock").read_text(encoding="utf-8")
