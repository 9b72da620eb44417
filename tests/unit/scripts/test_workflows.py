"""CI runs what a person runs: the targets of the Makefile."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))


def load(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    workflow: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # strings only
    return workflow


def commands(path: Path) -> list[str]:
    return [step["run"] for job in load(path)["jobs"].values() for step in job["steps"] if "run" in step]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_each_target_exists(path: Path) -> None:
    called = set(re.findall(r"\bmake ([\w-]+)", "\n".join(commands(path))))
    assert called
    assert called <= targets()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_jobs_may_only_read_and_have_a_timeout(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(int(job["timeout-minutes"]) > 0 for job in workflow["jobs"].values())


def test_ci_runs_make_check_and_make_test() -> None:
    assert sorted(commands(REPOSITORY / ".github/workflows/ci.yml")) == ["make check", "make test"]


def test_paths_that_start_the_regression_gate_exist() -> None:
    paths = load(REPOSITORY / ".github/workflows/metrics.yml")["on"]["pull_request"]["paths"]
    assert all((REPOSITORY / path.removesuffix("/**")).exists() for path in paths)


@pytest.mark.parametrize(
    ("target", "computes"),
    [("check-metrics", "check_regression.py"), ("compute-metrics", "compute_metrics.py --newest")],
)
def test_the_regression_gate_is_computed_against_the_baseline_before(target: str, computes: str) -> None:
    """The workflow that this one replaced computed nothing."""
    (called,) = (run for run in commands(REPOSITORY / ".github/workflows/metrics.yml") if f"make {target} " in run)
    assert 'BASELINE="$RUNNER_TEMP/metrics_baseline.json"' in called
    make = ["make", "--dry-run", target, "BASELINE=before.json"]
    printed = subprocess.run(make, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert re.search(rf'scripts/{computes} --baseline "before\.json"', printed)


def test_bills_of_materials_and_the_audit_cover_every_lock_of_an_image() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    locks = re.findall(r"^LOCKS := (.*)$", makefile, flags=re.MULTILINE)[0].split()
    assert sorted(locks) == sorted(
        str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("*/requirements*.lock")
    )
    # Without it, a package that the service does not know counts as sound.
    assert 'pip-audit" --strict' in makefile
    assert commands(REPOSITORY / ".github/workflows/supply-chain.yml") == ["make sbom", "make audit"]
