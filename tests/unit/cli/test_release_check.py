"""`release check`: what a change of the registry's file needs, in CI."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from support.operator_world import manifest

from .conftest import Registry


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=ci", "-c", "user.email=ci@example.org")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(registry: Registry) -> Registry:
    """A Git repository whose registry has `first`, active, at the revision `main`."""
    registry.add("first", "1.0.0")
    git(registry.root, "init", "-q", "-b", "main")
    commit(registry)
    return registry


def commit(registry: Registry) -> None:
    git(registry.root, "add", ".")
    git(registry.root, "commit", "-qm", "State")


def changed(registry: Registry, version: str, **changes: Any) -> Registry:
    """Make a new model active, in the working tree only."""
    registry.add("second", version, **changes)
    registry.active = "second"
    return registry.write()


def check(registry: Registry, *arguments: str) -> Result:
    return registry.run("release", "check", "--base", "main", *arguments)


@pytest.mark.parametrize(
    ("version", "given", "missing"),
    [
        ("1.0.1", (), "1 of 1 reviews"),
        ("1.0.1", ("--review", "alice"), None),
        ("1.1.0", ("--review", "alice"), None),
        ("2.0.0", ("--review", "alice", "--review", "alice"), "1 of 2 reviews, QA by hand"),
        ("2.0.0", ("--review", "alice", "--review", "bob"), "QA by hand"),
        ("2.0.0", ("--review", "alice", "--review", "bob", "--qa", "bob"), None),
    ],
)
def test_the_exit_code_says_if_something_is_missing(
    repository: Registry, version: str, given: tuple[str, ...], missing: str | None
) -> None:
    done = check(changed(repository, version), *given)
    assert done.exit_code == (0 if missing is None else 1), done.output
    if missing:
        assert done.stderr.rstrip().endswith(f"missing: {missing}")
    assert "ok    second passes against first" in done.stdout


def test_a_change_without_another_active_model_is_no_release(repository: Registry) -> None:
    repository.add("second", "1.1.0")
    done = check(repository)
    assert (done.exit_code, done.stdout) == (0, "no release: first 1.0.0 is active before and after the change\n")


def test_a_rollback_needs_nothing_and_says_so(repository: Registry) -> None:
    changed(repository, "1.1.0")
    commit(repository)
    repository.active = "first"
    done = check(repository.write())
    assert done.exit_code == 0
    assert done.stdout == "a rollback from second 1.1.0 to first 1.0.0: it needs no approval\n"


def test_a_model_that_was_listed_but_stands_after_the_active_one_is_a_release(repository: Registry) -> None:
    repository.add("second", "1.1.0")
    commit(repository)
    repository.active = "second"
    assert check(repository.write()).exit_code == 1


def test_other_bytes_of_the_active_model_are_a_release(repository: Registry) -> None:
    repository.models[0]["sha256"] = "f" * 64
    assert "first 1.0.0 is a patch release" in check(repository.write()).stdout


def test_the_gate_and_missing_figures_count(repository: Registry) -> None:
    done = check(changed(repository, "1.1.0", figures={"tn": 50}), "--review", "alice")
    assert done.exit_code == 1
    assert "MISS  second is refused against first: TNR 0.5000 is below 0.9000 (minTNR)" in done.stdout
    repository.models.pop()
    bare = check(changed(repository, "1.1.0", metrics_snapshot=None), "--review", "alice")
    assert "metricsSnapshot in the registry entry" in bare.stderr


def test_other_bytes_under_the_same_name_are_compared_with_those_that_serve(repository: Registry) -> None:
    repository.snapshot("worse", "1.0.1", tn=91)
    repository.models[0] |= {"sha256": "f" * 64, "version": "1.0.1", "metrics_snapshot": "reports/worse.json"}
    done = check(repository.write(), "--review", "alice")
    assert done.exit_code == 1, done.output
    assert "MISS  first is refused against first: TNR 0.9100 is more than 0.0200 below first's 0.9500" in done.stdout


def test_a_snapshot_that_is_overwritten_is_read_from_the_base(repository: Registry) -> None:
    repository.snapshot("first", "1.0.1", tn=91)
    repository.models[0] |= {"sha256": "f" * 64, "version": "1.0.1"}
    assert "below first's 0.9500" in check(repository.write(), "--review", "alice").stderr


def test_a_serving_model_that_the_change_removes_is_compared_all_the_same(repository: Registry) -> None:
    changed(repository, "1.1.0", figures={"tn": 91})
    repository.models.pop(0)
    (repository.root / "reports/first.json").unlink()
    done = check(repository.write(), "--review", "alice")
    assert done.exit_code == 1, done.output
    assert "MISS  second is refused against first: TNR 0.9100 is more than 0.0200 below first's 0.9500" in done.stdout


def test_a_serving_model_that_is_still_listed_has_its_present_figures(repository: Registry) -> None:
    changed(repository, "1.1.0", figures={"tn": 92})
    repository.models[0] |= {"metrics_snapshot": "reports/measured_again.json"}
    repository.snapshot("measured_again", "1.0.0", tn=96)
    done = check(repository.write(), "--review", "alice")
    assert "second is refused against first: TNR 0.9200 is more than 0.0200 below first's 0.9600" in done.stderr
    repository.models[0] |= {"metrics_snapshot": None}
    done = check(repository.write(), "--review", "alice")
    assert "TNR 0.9200 is more than 0.0200 below first's 0.9500" in done.stderr, (
        "the last known ones, as the operator does"
    )


def test_figures_that_the_base_does_not_have_are_an_error_with_the_file(repository: Registry) -> None:
    git(repository.root, "rm", "-q", "--cached", "reports/first.json")
    git(repository.root, "commit", "-qm", "Without figures")
    changed(repository, "1.1.0")
    repository.models.pop(0)
    done = check(repository.write(), "--review", "alice")
    assert (done.exit_code, "reports/first.json: cannot be read in main" in done.stderr) == (2, True), done.output


def test_a_rollback_to_a_model_without_readable_figures_is_one_all_the_same(repository: Registry) -> None:
    changed(repository, "1.1.0")
    commit(repository)
    (repository.root / "reports/first.json").write_text("{")
    repository.active = "first"
    assert "a rollback from second 1.1.0" in check(repository.write()).stdout


def test_a_hotfix_and_the_rules_of_a_manifest(repository: Registry, tmp_path: Path) -> None:
    hotfix = changed(repository, "2.0.0", hotfix=True, figures={"tn": 50})
    assert check(hotfix, "--review", "alice").exit_code == 1, "the gate is not skipped by default"
    resource = manifest(approval={"hotfix": {"skip": ["Gate"]}})
    file = tmp_path / "whales.yaml"
    file.write_text(yaml.safe_dump(resource))
    done = check(hotfix, "--review", "alice", "--resource", str(file), "-o", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "release": "Hotfix",
        "summary": "second 2.0.0 is a hotfix release after first 1.0.0",
        "present": ["Review by alice"],
        "missing": [],
    }


def test_a_deprecated_model_is_no_release_to_make(repository: Registry) -> None:
    done = check(changed(repository, "1.0.1", deprecated=True), "--review", "alice")
    assert "a model that the registry does not call deprecated" in done.stderr


@pytest.mark.parametrize(
    ("base", "message"), [("nowhere", "cannot be read in nowhere"), ("--help", "expected a Git revision, got '--help'")]
)
def test_a_base_that_cannot_be_read_is_said(repository: Registry, base: str, message: str) -> None:
    done = repository.run("release", "check", "--base", base)
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_a_manifest_of_another_kind_is_refused(repository: Registry, tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("kind: ConfigMap\n")
    assert "expected one manifest of a CetaceanModel" in check(repository, "--resource", str(file)).stderr
    file.write_text("kind: CetaceanModel\nspec: {}\n")
    assert "registry" in check(repository, "--resource", str(file)).stderr
