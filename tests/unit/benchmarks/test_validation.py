"""The benchmark of writes to the API server: its definitions, its objects, its table and its picture."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from benchmarks import pictures
from benchmarks.machine import BenchmarkError
from benchmarks.operator.processes import find_process, running
from benchmarks.operator.validation import definitions, objects, statuses
from benchmarks.operator.validation_report import BEGIN, DEFINITIONS, END, OBJECTS, WRITES, results, table
from support.waiting import wait_until

from cetacean_tools.workspace import REPOSITORY


def test_the_three_definitions_differ_in_their_rules_and_in_their_schema() -> None:
    found = list(definitions())
    assert len({kind.group for kind, _ in found}) == len(DEFINITIONS)
    assert [f"{kind.plural}.{kind.group}" for kind, _ in found] == [crd["metadata"]["name"] for _, crd in found]
    texts = [json.dumps(crd) for _, crd in found]
    assert ["x-kubernetes-validations" in text for text in texts] == [True, False, False]
    assert ["weightsUrl" in text for text in texts] == [True, True, False]


def test_each_write_of_a_status_changes_it() -> None:
    for _, obj in objects():
        starting, serving = statuses(obj["spec"])
        assert (starting["readyReplicas"], serving["readyReplicas"]) == (0, 1)
        assert len(obj["spec"]["registry"]["models"]) > 1, "a change of spec names another one"


def test_the_table_has_the_shares_of_the_rules_and_of_the_schema(tmp_path: Path) -> None:
    costs = dict(zip(DEFINITIONS, (1.0, 0.9, 0.4), strict=True))
    measured = {key: (costs[key[1]], [0.02] * 100) for key in itertools.product(OBJECTS, DEFINITIONS, WRITES)}
    found = results(measured, load_before=0.5)
    lines = table(found).splitlines()
    assert lines[0].endswith("100 requests of each kind; load average before 0.5.")
    assert "| full: apply of status | 10 | 9 | 4 | 10% | 50% |" in lines
    assert found["objects"]["small"]["change of spec"]["ours"] == {"cpu_ms": 10.0, "p50_ms": 20.0}
    picture = pictures.draw("validation", found, folder=tmp_path)
    assert "without rules" in picture.read_text(encoding="utf-8")


def test_the_document_has_a_place_for_the_table() -> None:
    page = (REPOSITORY / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert 0 < page.index(BEGIN) < page.index(END)


def test_a_process_is_found_by_its_program_and_a_folder(tmp_path: Path) -> None:
    program = tmp_path / "kube-example"
    program.symlink_to("/bin/cat")
    (tmp_path / "pipe").touch()
    os.mkfifo(tmp_path / "waits")
    with running([str(program), str(tmp_path / "waits")], {}, log=tmp_path / "log") as started:
        # Until the new process has executed the program, it has the arguments of this one.
        wait_until(lambda: str(program) in Path(f"/proc/{started.pid}/cmdline").read_text(encoding="utf-8"))
        assert find_process("kube-example", tmp_path) == started.pid
        with pytest.raises(BenchmarkError, match="found none"):
            find_process("kube-other", tmp_path)
