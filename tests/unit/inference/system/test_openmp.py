"""OpenMP's variables: set before torch is imported, in the service and in scripts; those of the user stay."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cetacean_inference.system import openmp
from cetacean_inference.system.openmp import configure_openmp, num_threads
from cetacean_tools.workspace import REPOSITORY

# A finder sees the import of a module before the module runs.
PROGRAM = """
import importlib, os, sys

class Spy:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "openvino", "sklearn"):
            print(name, os.environ.get("OMP_WAIT_POLICY"), os.environ.get("OMP_NUM_THREADS"), flush=True)
            raise ImportError("seen")

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.meta_path.insert(0, Spy())
try:
    importlib.import_module(sys.argv[1])
except ImportError as error:
    if str(error) != "seen":
        raise
print("end", os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.fixture
def usable(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(openmp, "usable_cpus", lambda: 3)
    return 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "3"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "3"}),
        ({"GOMP_SPINCOUNT": "1000"}, {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": "3"}),
        (
            {"OMP_NUM_THREADS": "7"},
            {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "7"},
        ),
    ],
)
def test_variables_of_the_user_stay(usable: int, before: dict[str, str], after: dict[str, str]) -> None:
    environment = dict(before)
    configure_openmp(environment)
    assert environment == after


@pytest.mark.parametrize(
    ("value", "threads"), [(None, 3), ("", 3), ("0", 3), ("-1", 3), ("x", 3), ("2", 2), (" 2 ", 2), ("4,2", 4)]
)
def test_the_users_number_of_threads_counts_if_it_is_valid(usable: int, value: str | None, threads: int) -> None:
    assert num_threads({} if value is None else {"OMP_NUM_THREADS": value}) == threads


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has affinities")
@pytest.mark.parametrize(
    "module",
    [
        "cetacean_inference.cli",
        "cetacean_inference.engines.conversion",
        "cetacean_inference.engines.eager",
        "cetacean_inference.models.loading",
        "cetacean_evaluation.figures",
        "cetacean_evaluation.scoring",
        "cetacean_evaluation.commands.compute_metrics",
        "cetacean_evaluation.commands.calibrate_clip_threshold",
        "cetacean_tools.demo_models.making",
    ],
)
def test_a_process_has_the_variables_before_torch_is_imported(module: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    path = [str(REPOSITORY / folder) for folder in ("operator", "inference", "models", "scripts")]
    command = [sys.executable, "-c", PROGRAM, module]
    environment = {**kept, "PYTHONPATH": ":".join(path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *imported, last = done.stdout.splitlines()
    assert last == "end 0 1"
    assert all(line.split()[1:] == ["PASSIVE", "1"] for line in imported), imported
