"""CI runs what a person runs: the targets of the Makefile."""

from __future__ import annotations

import json
import os
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
def test_each_action_is_named_by_its_commit_with_the_version_beside_it(path: Path) -> None:
    """A tag can be moved to another commit."""
    used = re.findall(r"^\s*(?:- )?uses:\s*(.+)$", path.read_text(), flags=re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action


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


# --- the regression gate -----------------------------------------------------------------------------------------------

METRICS = REPOSITORY / ".github/workflows/metrics.yml"
STARTS = (
    "models/registry.json", "models/cetacean_registry/gate.py", "reports/metrics_baseline.json",
    "configs/anti_fraud_threshold.yaml", "data/test_split/manifest.csv", "inference/cetacean_evaluation/figures.py",
    "inference/cetacean_inference/imaging/preprocessing.py", "scripts/check_regression.py", "requirements.lock",
)  # fmt: skip
"""Files on which the figures or their judgement depend."""
OPT_OUT = "METRICS_NOT_COMPUTED"
CONDITION = re.compile(rf"vars\.{OPT_OUT} (==|!=) '([^']*)'")


class Gate:
    """Runs the steps of the workflow's job as a runner would, in a clone, with a `make` that records its arguments."""

    def __init__(self, folder: Path) -> None:
        self.origin, self.clone, self.temp, self.bin = (folder / name for name in ("origin", "clone", "temp", "bin"))
        for made in (self.origin, self.temp, self.bin):
            made.mkdir()
        self.summary = self.temp / "summary.md"
        self.make_fails_at = self.gates = ""
        self._git("init", "--quiet", "--initial-branch=main")
        self.base = self._commit('{"model_version": "before"}')
        self._commit('{"model_version": "changed"}')
        (self.bin / "make").write_text(
            '#!/bin/sh\necho "$@${GATES:+ GATES=$GATES}" >> "$RUNNER_TEMP/made"\n[ "$1" != "$FAILS_AT" ]\n',
            encoding="utf-8",
        )
        (self.bin / "make").chmod(0o755)

    def run(self, **variables: str) -> list[str]:
        """Run the job with these repository variables; return the names of the steps that ran, ended by a failure."""
        ran = []
        (job,) = load(METRICS)["jobs"].values()
        assert "if" not in job
        assert "continue-on-error" not in str(job)
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                self._checkout(int(step["with"]["fetch-depth"]))
            if "run" not in step or not self._is_true(step.get("if"), variables):
                continue
            ran.append(step["name"])
            if self._shell(step).returncode:
                break
        return ran

    @property
    def made(self) -> list[str]:
        return (self.temp / "made").read_text(encoding="utf-8").splitlines()

    @staticmethod
    def _is_true(condition: str | None, variables: dict[str, str]) -> bool:
        if condition is None:
            return True
        found = CONDITION.fullmatch(condition)
        assert found, f"expected a condition on the repository variable {OPT_OUT}, got {condition}"
        return (variables.get(OPT_OUT, "") == found[2]) is (found[1] == "==")

    def _shell(self, step: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "FAILS_AT": self.make_fails_at,
        }
        for name, value in step.get("env", {}).items():
            environment[name] = {
                "${{ github.event.pull_request.base.sha }}": self.base,
                "${{ vars.GATES }}": self.gates,
            }[value]
        command = ["bash", "-e", "-o", "pipefail", "-c", step["run"]]
        return subprocess.run(command, cwd=self.clone, env=environment, capture_output=True, text=True, check=False)

    def _checkout(self, depth: int) -> None:
        only = ["--depth", str(depth)] if depth else []
        command = ["git", "clone", "--quiet", *only, self.origin.as_uri(), str(self.clone)]
        subprocess.run(command, check=True, capture_output=True)

    def commit_outcomes(self) -> None:
        """Make a change whose base has the outcomes of the baseline."""
        (self.origin / "reports/metrics_baseline.outcomes.jsonl").write_text("outcomes\n", encoding="utf-8")
        self.base = self._commit('{"model_version": "before"}')
        self._commit('{"model_version": "changed"}')

    def _commit(self, baseline: str) -> str:
        (self.origin / "reports").mkdir(exist_ok=True)
        (self.origin / "reports/metrics_baseline.json").write_text(baseline, encoding="utf-8")
        self._git("add", "--all")
        self._git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=a")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.origin, check=True, capture_output=True, text=True)
        return done.stdout


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.mark.parametrize("file", STARTS)
def test_a_change_of_what_the_figures_depend_on_starts_the_regression_gate(file: str) -> None:
    patterns = load(METRICS)["on"]["pull_request"]["paths"]
    assert any(re.fullmatch(re.escape(one).replace(r"\*\*", ".*"), file) for one in patterns)


def test_paths_that_start_the_regression_gate_exist() -> None:
    paths = load(METRICS)["on"]["pull_request"]["paths"]
    assert set(paths) >= {"data/test_split/**"}, "the pictures, which not every checkout holds"
    assert all((REPOSITORY / path.removesuffix("/**")).exists() for path in paths if path != "data/test_split/**")


def test_the_figures_are_computed_and_compared_with_the_baseline_before_the_change(gate: Gate) -> None:
    """The workflow that this one replaced computed nothing."""
    gate.run()
    baseline = gate.temp / "metrics_baseline.json"
    assert json.loads(baseline.read_text(encoding="utf-8")) == {"model_version": "before"}
    assert gate.made == [
        f"check-metrics BASELINE={baseline}",
        f"compute-metrics BASELINE={baseline} OUT={gate.temp / 'metrics.json'}",
    ]
    assert not gate.summary.exists()


def test_the_outcomes_of_a_baseline_that_has_them_lie_beside_it(gate: Gate) -> None:
    gate.commit_outcomes()
    gate.run()
    assert (gate.temp / "metrics_baseline.outcomes.jsonl").read_text(encoding="utf-8") == "outcomes\n"


def test_the_repository_variable_sets_the_bounds_of_both_judgements(gate: Gate) -> None:
    gate.gates = "--min-top1 0.2"
    gate.run()
    assert len(gate.made) == 2
    assert all(line.endswith(" GATES=--min-top1 0.2") for line in gate.made)


@pytest.mark.parametrize("target", ["check-metrics", "compute-metrics"])
def test_a_failure_of_either_judgement_ends_the_job(gate: Gate, target: str) -> None:
    gate.make_fails_at = target
    gate.run()
    assert gate.made[-1].startswith(f"{target} "), "nothing runs after it"


@pytest.mark.parametrize("value", ["", "true", "no"])
def test_only_the_named_value_of_the_variable_leaves_the_computation_out(gate: Gate, value: str) -> None:
    gate.run(METRICS_NOT_COMPUTED=value)
    assert gate.made[-1].startswith("compute-metrics ")


def test_without_the_computation_the_summary_says_so(gate: Gate) -> None:
    gate.run(METRICS_NOT_COMPUTED="accepted")
    assert [line.split()[0] for line in gate.made] == ["check-metrics"]
    assert "Not computed: the repository variable METRICS_NOT_COMPUTED" in gate.summary.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("target", "computes"),
    [("check-metrics", "check_regression.py"), ("compute-metrics", "compute_metrics.py --newest")],
)
def test_the_targets_pass_the_baseline_on(target: str, computes: str) -> None:
    make = ["make", "--dry-run", target, "BASELINE=before.json", "GATES=--min-top1 0.2"]
    printed = subprocess.run(make, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert re.search(rf'scripts/{computes} --baseline "before\.json".* --min-top1 0\.2$', printed, re.MULTILINE)


RELEASE = REPOSITORY / ".github/workflows/release.yml"


def review(login: str, state: str, at: int, *, commit: str = "head", body: str = "") -> dict[str, Any]:
    return {"user": {"login": login}, "state": state, "submitted_at": f"{at:02}", "commit_id": commit, "body": body}


@pytest.mark.parametrize(
    ("reviews", "options"),
    [
        ([], ""),
        ([review("alice", "APPROVED", 1)], "--review alice"),
        ([review("alice", "APPROVED", 1, body="Fine.\nQA passed")], "--review alice --qa alice"),
        ([review("alice", "APPROVED", 1, commit="earlier")], ""),
        ([review("alice", "APPROVED", 1), review("alice", "CHANGES_REQUESTED", 2)], ""),
        ([review("alice", "APPROVED", 1), review("alice", "DISMISSED", 2)], ""),
        ([review("alice", "APPROVED", 1), review("alice", "COMMENTED", 2)], "--review alice"),
        ([review("alice", "APPROVED", 1), review("bob", "APPROVED", 2)], "--review alice --review bob"),
        ([review("$(reboot)", "APPROVED", 1), review("robot[bot]", "APPROVED", 1)], ""),
        ([review("alice", "APPROVED", 1, body="no QA passed yet")], "--review alice"),
    ],
)
def test_the_newest_review_of_each_person_and_of_this_commit_counts(
    reviews: list[dict[str, Any]], options: str
) -> None:
    steps = [step for job in load(RELEASE)["jobs"].values() for step in job["steps"]]
    (step,) = [step for step in steps if "OPTIONS" in step.get("env", {})]
    environment = {**os.environ, "HEAD": "head", "OPTIONS": step["env"]["OPTIONS"]}
    shell = step["run"].split(" | ", 1)[1].split(" > ")[0]
    pages = json.dumps([reviews[:1], reviews[1:]])
    done = subprocess.run(
        ["bash", "-c", shell], input=pages, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == options


def test_bills_of_materials_and_the_audit_cover_every_lock_of_an_image() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    locks = re.findall(r"^LOCKS := (.*)$", makefile, flags=re.MULTILINE)[0].split()
    assert sorted(locks) == sorted(
        str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("*/requirements*.lock")
    )
    # Without it, a package that the service does not know counts as sound.
    assert 'pip-audit" --strict' in makefile
    assert commands(REPOSITORY / ".github/workflows/supply-chain.yml") == ["make sbom", "make audit"]
