"""`feedback`: corrections of a CSV file are sent to the pods, and the live accuracy of the status is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.kube_server import KubeServer
from support.operator_world import World, entry, manifest

from cetacean_cli.cluster import Cluster
from cetacean_inference.http.feedback import Feedback

from .conftest import Run

HEAD = "class_animal,id_animal,model_version,true_class_animal,true_id_animal\n"
ROWS = "a,orca,1.0.0,,orca\nb,orca,1.0.0,c,beluga\n,unknown,0.9.0,d,orca\n"
Corrections = Callable[[str | bytes], str]


@pytest.fixture
def corrections(tmp_path: Path) -> Corrections:
    """Writes a file and returns its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "corrections.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def whales(server: KubeServer) -> dict[str, Any]:
    world = World(manifest(entry("first")))
    world.settle()
    return server.add(world.obj)


def test_each_row_is_sent_to_a_pod_as_one_feedback(server: KubeServer, kubectl: Run, corrections: Corrections) -> None:
    done = kubectl("feedback", "whales", "--file", corrections(HEAD + ROWS), input="y\n")
    assert done.exit_code == 0, done.output
    assert (
        "feedback on 0.9.0: - → 1 answer: 0 with the right species; 1 with a known individual, 0 right" in done.stdout
    )
    assert (
        "feedback on 1.0.0: - → 2 answers: 1 with the right species; 1 with a known individual, 0 right" in done.stdout
    )
    assert "3 rows were counted" in done.stdout
    assert server.feedback == [
        {
            "answer": {"class_animal": "a", "id_animal": "orca", "model_version": "1.0.0"},
            "truth": {"id_animal": "orca"},
        },
        {
            "answer": {"class_animal": "b", "id_animal": "orca", "model_version": "1.0.0"},
            "truth": {"class_animal": "c", "id_animal": "beluga"},
        },
        {
            "answer": {"class_animal": "", "id_animal": "unknown", "model_version": "0.9.0"},
            "truth": {"class_animal": "d", "id_animal": "orca"},
        },
    ]
    assert all(Feedback.model_validate(one) for one in server.feedback)
    assert "/api/v1/namespaces/sea/services/whales:http/proxy/v1/feedback" in server.requests


def test_other_columns_a_byte_order_mark_spaces_and_the_digest_are_read(
    server: KubeServer, kubectl: Run, corrections: Corrections
) -> None:
    file = corrections(f"\ufeffimage,{HEAD.strip()},image_sha256\r\nx.jpg, a , orca,1.0.0, ,orca,{'AB' * 32}\r\n")
    done = kubectl("feedback", "whales", "--file", file, "--yes")
    assert done.exit_code == 0, done.output
    assert server.feedback == [
        {
            "answer": {
                "class_animal": "a",
                "id_animal": "orca",
                "model_version": "1.0.0",
                "image_sha256": "AB" * 32,
            },
            "truth": {"id_animal": "orca"},
        }
    ]


def test_nothing_is_sent_without_a_confirmation_or_in_a_dry_run(
    server: KubeServer, kubectl: Run, corrections: Corrections
) -> None:
    file = corrections(HEAD + ROWS)
    assert kubectl("feedback", "whales", "--file", file, input="n\n").exit_code == 1
    done = kubectl("feedback", "whales", "--file", file, "--dry-run", "-o", "json")
    assert json.loads(done.stdout)["changed"] is False
    assert server.feedback == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a header with the columns"),
        ("id_animal,model_version\n", "expected the columns class_animal, true_id_animal too"),
        ("\x00" + HEAD, "got \N{REPLACEMENT CHARACTER}class_animal, id_animal"),
        (HEAD, "expected at least one row"),
        (HEAD + "a,orca,1.0.0,,\n", "line 2: true_id_animal: expected the species, got nothing"),
        (HEAD + "a,orca,,,orca\n", "line 2: model_version: expected the version that answered, got nothing"),
        (HEAD + "a,orca,1.0.0,,orca\na,orca,1 0,,orca\n", "line 3: model_version: expected letters, digits"),
        (HEAD + "a,,1.0.0,,orca\n", "line 2: id_animal: expected the species of the answer, or unknown, got nothing"),
        (HEAD + f"a,orca,1.0.0,,{'x' * 129}\n", "line 2: true_id_animal: expected at most 128 characters, got 129"),
        (HEAD + "a,orca,1.0.0\n", "line 2: expected 5 values, got 3"),
        (HEAD + "a,orca,1.0.0,,orca,more\n", "line 2: expected 5 values, got 6"),
        (HEAD + 'a,"orca,1.0.0,,orca\n', "line 2: expected CSV"),
        (b"\xff\xfe", "cannot be read"),
        ("image_sha256," + HEAD + "ab,a,orca,1.0.0,,orca\n", "line 2: image_sha256: expected 64 hex digits, got 'ab'"),
    ],
)
def test_a_file_with_a_fault_is_not_sent_at_all(
    server: KubeServer, kubectl: Run, corrections: Corrections, content: str | bytes, message: str
) -> None:
    done = kubectl("feedback", "whales", "--file", corrections(content), "--yes")
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert server.feedback == []


def test_after_a_failure_the_message_says_what_was_counted_and_how_to_continue(
    server: KubeServer, kubectl: Run, corrections: Corrections
) -> None:
    file = corrections(HEAD + ROWS)
    server.refuse_feedback_after = 1
    done = kubectl("feedback", "whales", "--file", file, "--yes")
    assert done.exit_code == 3
    assert "line 3: " in done.stderr
    assert "1 row was counted: continue with --from-line 3" in done.stderr
    server.refuse_feedback_after = None
    done = kubectl("feedback", "whales", "--file", file, "--yes", "--from-line", "3")
    assert done.exit_code == 0
    assert [one["answer"]["class_animal"] for one in server.feedback] == ["a", "b", ""]


def test_after_ctrl_c_the_message_says_what_was_counted_and_how_to_continue(
    server: KubeServer, kubectl: Run, corrections: Corrections, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, calls = Cluster.post_to_service, iter(range(9))

    def interrupted(self: Cluster, *arguments: Any, **options: Any) -> Any:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return send(self, *arguments, **options)

    monkeypatch.setattr(Cluster, "post_to_service", interrupted)
    file = corrections(HEAD + ROWS)
    done = kubectl("feedback", "whales", "--file", file, "--yes")
    assert done.exit_code == 1
    message = f"Error: {file}: line 3: interrupted; 1 row was counted: continue with --from-line 3\n"
    assert done.stderr == message
    assert len(server.feedback) == 1


@pytest.mark.parametrize("column", ["true_id_animal", "model_version", "true_class_animal"])
def test_a_column_that_is_there_twice_is_refused(
    server: KubeServer, kubectl: Run, corrections: Corrections, column: str
) -> None:
    head = HEAD.strip()
    head = head if column in head.split(",") else f"{head},{column}"
    rows = f"{head},{column}\n" + ",".join(["a"] * (head.count(",") + 2)) + "\n"
    done = kubectl("feedback", "whales", "--file", corrections(rows), "--yes")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert f"expected each column once, got {column} more than once" in done.stderr
    assert not server.feedback


def test_a_line_after_the_last_one_is_an_error(kubectl: Run, corrections: Corrections) -> None:
    done = kubectl("feedback", "whales", "--file", corrections(HEAD + ROWS), "--from-line", "9")
    assert done.exit_code == 2
    assert "expected a row from line 9 on, the last one is in line 4" in done.stderr


def test_without_a_file_the_live_accuracy_is_shown(server: KubeServer, kubectl: Run, whales: dict[str, Any]) -> None:
    done = kubectl("feedback", "whales")
    assert done.exit_code == 0
    assert "no feedback on the answers of the present pods" in done.stdout
    species = {"samples": 10, "correct": 9, "accuracy": 0.9, "low": 0.596, "high": 0.982}
    whales["status"]["feedback"] = [{"version": "1.0.0", "model": "first", "species": species}]
    server.add(whales)
    done = kubectl("feedback", "whales")
    for word in ("1.0.0", "first", "9 of 10", "0.9 (0.596 to 0.982)"):
        assert word in done.stdout
    assert json.loads(kubectl("feedback", "whales", "-o", "json").stdout)["feedback"] == whales["status"]["feedback"]


@pytest.mark.parametrize("answer", [b"[" * 200_000, b"[]", b"<html>"], ids=["deep", "list", "page"])
def test_an_odd_answer_of_a_pod_to_feedback_is_one_line(
    server: KubeServer, kubectl: Run, corrections: Corrections, answer: bytes
) -> None:
    server.feedback_answer = answer
    done = kubectl("feedback", "whales", "--file", corrections(HEAD + ROWS), "--yes")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "line 2: expected a JSON object in the response, got " in done.stderr
    assert done.stderr.endswith("; 0 rows were counted: continue with --from-line 2\n")


@pytest.mark.parametrize(("status", "code"), [(200, 1), (500, 3)])
def test_an_answer_of_a_pod_to_feedback_without_an_end_is_one_line(
    server: KubeServer, kubectl: Run, corrections: Corrections, status: int, code: int
) -> None:
    server.endless = {"feedback": status}
    done = kubectl("feedback", "whales", "--file", corrections(HEAD + ROWS), "--yes")
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1)
    assert done.stderr.endswith("; 0 rows were counted: continue with --from-line 2\n")
