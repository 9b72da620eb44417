"""`registry` and `gate check`: the faults of the file, and edits that the gate and the format allow."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from support import outcomes

from cetacean_cli.main import cli
from cetacean_operator.api.spec import parse_spec
from cetacean_registry.weights_schemes import URL_EXPECTED

from .conftest import Registry

REPOSITORY = Path(__file__).parents[3]
BAD = """{
  "schema_version": "1.0",
  "active": "zebra",
  "active": "yak",
  "models": [
    {"name": "a b", "version": "1.0", "architecture": "A", "weights_url": "ftp://x", "sha256": "ab"},
    {"name": "x", "version": "1.1.0", "architecture": "A", "weights_url": "https://e/x", "sha256": null,
     "metrics_snapshot": "nowhere.json"},
    {"name": "x", "version": "1.1.0-rc.1", "architecture": "A", "weights_url": "https://e/x"},
    {"name": "y", "version": "0.1.0", "architecture": "B", "weights_url": "https://e/y", "deprecated": true}
  ]
}
"""

NO_NEGATIVES = {"n_positive": 1, "n_negative": 0, "tp": 1, "fn": 0, "tn": 0, "fp": 0, "tpr": 1, "tnr": 1, "roc_auc": 1}


def test_an_added_model_may_name_its_signature(registry: Registry) -> None:
    registry.add("first", "1.0.0").write()
    arguments = ("--version", "1.1.0", "--like", "first", "--weights-url", "https://e/b.safetensors", "--yes")
    done = registry.run("registry", "add", "second", *arguments, "--signature-url", "https://e/b.sig")
    assert done.exit_code == 0, done.output
    added = json.loads(registry.file.read_text())["models"][-1]
    assert (added["name"], added["signature_url"]) == ("second", "https://e/b.sig")


def test_all_faults_are_reported_at_once_with_their_positions(registry: Registry) -> None:
    registry.file.write_text(BAD)
    done = registry.run("registry", "validate")
    assert done.exit_code == 1
    file = registry.file
    faults = done.stdout.replace(str(file), "F").replace(str(registry.root), "ROOT").splitlines()
    assert faults == [
        "F:4:3: error: active: duplicate key",
        "F:4:13: error: active: expected one of the models a b, x, x, y, got 'yak'",
        (
            "F:6:14: error: models[0].name: expected letters, digits, '-', '_' and '.', beginning and ending with a letter "
            "or digit, got 'a b'"
        ),
        "F:6:32: error: models[0].version: expected a semantic version such as 1.2.0, got '1.0'",
        (f"F:6:75: error: models[0].weights_url: {URL_EXPECTED}, got 'ftp://x'"),
        "F:6:96: error: models[0].sha256: expected 64 hex digits, got 'ab'",
        "F:7:100: warning: models[1].sha256: missing: the download cannot be verified",
        (
            "F:8:26: error: models[1].metrics_snapshot: ROOT/nowhere.json: cannot be read: [Errno 2] No such file or "
            "directory: 'ROOT/nowhere.json'"
        ),
        "F:9:5: warning: models[2].sha256: missing: the download cannot be verified",
        "F:9:5: warning: models[2].metrics_snapshot: missing: the gate refuses x",
        "F:9:14: error: models[2].name: expected a name that no other model has, got 'x'",
        "F:9:30: error: models[2].version: expected a version above 1.1.0 of x, got '1.1.0-rc.1'",
        "F:10:5: warning: models[3].sha256: missing: the download cannot be verified",
    ]
    assert done.stderr == f"Error: {file}: faults to fix: 9\n"


def test_faults_are_printed_as_json(registry: Registry) -> None:
    registry.file.write_text(BAD)
    done = registry.run("registry", "validate", "-o", "json")
    result = json.loads(done.stdout)
    assert (done.exit_code, result["valid"], len(result["faults"])) == (1, False, 13)
    assert result["faults"][0] == {
        "severity": "error",
        "line": 4,
        "column": 3,
        "message": "active: duplicate key",
    }


def test_the_projects_own_registry_is_valid() -> None:
    done = CliRunner().invoke(cli, ["registry", "validate", "--file", str(REPOSITORY / "models/registry.json")])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("{", 2, ":1:2: expected JSON"),
        ("[]", 1, ":1:1: error: Input should be a valid dictionary"),
        ("{}", 1, ":1:1: error: active: Field required"),
        ('{"active": "a", "models": [1]}', 1, ":1:28: error: models[0]: Input should be a valid dictionary"),
    ],
)
def test_an_invalid_registry_is_reported(registry: Registry, content: str, code: int, message: str) -> None:
    registry.file.write_text(content)
    done = registry.run("registry", "validate")
    assert done.exit_code == code
    assert message in done.output


def test_a_missing_file_is_reported_in_one_line(registry: Registry) -> None:
    done = registry.run("registry", "validate")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "cannot be read" in done.stderr


def test_a_rollback_does_not_need_the_figures_of_any_model(registry: Registry) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0", figures={"manifest_path": "x" * 2000})
    registry.active = "b"
    for arguments in (("registry", "validate"), ("gate", "check", "b", "--against", "a"), ("registry", "promote", "b")):
        done = registry.write().run(*arguments)
        assert "reports/b.json: manifest_path: String should have at most 1024 characters" in done.output
        assert done.exit_code == (1 if "validate" in arguments else 2)
    done = registry.run("registry", "rollback", "--yes")
    assert done.exit_code == 0, done.output
    assert registry.read()["active"] == "a"


@pytest.mark.parametrize(
    ("figures", "severity", "message"),
    [
        ({"anti_fraud": None}, "error", "reports/b.json has no tpr, tnr, roc_auc"),
        ({"manifest_path": None}, "error", "reports/b.json has no evaluation_set"),
        ({"sample_size": 0}, "error", "reports/b.json has no tpr, tnr, roc_auc: a figure of no pictures is missing"),
        ({"anti_fraud": NO_NEGATIVES}, "error", "reports/b.json has no tnr, roc_auc: a figure of no pictures is"),
        ({"cetacean_score_mean": None}, "warning", "reports/b.json has no cetacean_score_mean"),
        ({"model_version": "0.9.0"}, "warning", "has version 0.9.0, the model has 1.1.0"),
        ({"cetacean_score_mean": 2}, "error", "reports/b.json: cetacean_score_mean: Input should be less than"),
    ],
)
def test_snapshots_must_have_the_figures(
    registry: Registry, figures: dict[str, Any], severity: str, message: str
) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0", figures=figures)
    done = registry.run("registry", "validate")
    assert f"{severity}: models[1].metrics_snapshot: " in done.stdout
    assert message in done.stdout
    assert done.exit_code == (1 if severity == "error" else 0)
    assert registry.run("registry", "validate", "--strict").exit_code == 1


def test_a_digest_is_compared_with_the_file_on_this_disk(registry: Registry) -> None:
    weights = registry.root / "w.ckpt"
    weights.write_bytes(b"weights")
    found = hashlib.sha256(b"weights").hexdigest()
    registry.add("a", "1.0.0", weights_path="w.ckpt", sha256=found)
    assert registry.run("registry", "validate", "--strict").exit_code == 0
    weights.write_bytes(b"others")
    done = registry.run("registry", "validate")
    assert done.exit_code == 1
    assert (
        f"models[0].sha256: expected the digest of w.ckpt, {hashlib.sha256(b'others').hexdigest()}, got" in done.stdout
    )


def test_weights_outside_of_the_repository_are_named_by_their_own_path(
    registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    weights = tmp_path_factory.mktemp("elsewhere") / "w.ckpt"
    weights.write_bytes(b"weights")
    registry.add("a", "1.0.0").add("b", "1.1.0", weights_path=str(weights))
    done = registry.run("registry", "validate")
    assert done.exit_code == 1
    assert f"models[1].sha256: expected the digest of {weights}, " in done.stdout
    for command in (("gate", "check", "b"), ("registry", "promote", "b", "--yes")):
        assert registry.run(*command).exit_code == 0


@pytest.mark.parametrize("path", ["a" * 300, "/proc/self/mem"])
def test_weights_that_cannot_be_read_are_a_fault(registry: Registry, path: str) -> None:
    registry.add("a", "1.0.0", weights_path=path)
    done = registry.run("registry", "validate")
    assert done.exit_code == 1
    assert f"models[0].sha256: expected the digest of {path}, which cannot be read: " in done.stdout


@pytest.mark.parametrize("path", ["pipe", "/dev/zero", "../../a.json"])
def test_a_snapshot_is_a_regular_file_within_the_repository(registry: Registry, path: str) -> None:
    os.mkfifo(registry.root / "pipe")
    registry.add("a", "1.0.0", metrics_snapshot=path)
    done = registry.run("registry", "validate")
    assert done.exit_code == 1
    assert "error: models[0].metrics_snapshot: " in done.stdout
    assert "expected a regular file" in done.stdout or f"{path}: expected a file within" in done.stdout


def test_a_registry_that_is_a_pipe_is_an_error(registry: Registry) -> None:
    os.mkfifo(registry.file)
    done = registry.run("registry", "validate")
    assert done.exit_code == 2
    assert done.stderr == f"Error: {registry.file}: cannot be read: expected a regular file\n"


def test_the_digests_of_the_files_beside_the_weights_are_compared_too(registry: Registry) -> None:
    weights, species = registry.root / "w.ckpt", registry.root / "species_map.csv"
    weights.write_bytes(b"weights")
    species.write_bytes(b"species")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (weights, species)}
    files = {"species_map.csv": digests["species_map.csv"], "encoder_classes.npy": "a" * 64}  # the second is not here
    registry.add("a", "1.0.0", weights_path="w.ckpt", sha256=digests["w.ckpt"], files=files)
    assert registry.run("registry", "validate", "--strict").exit_code == 0
    species.write_bytes(b"others")
    done = registry.run("registry", "validate")
    assert done.exit_code == 1
    assert "models[0].files.species_map.csv: expected the digest of species_map.csv, " in done.stdout


def test_two_entries_with_the_same_weights_are_a_warning(registry: Registry) -> None:
    registry.add("a", "1.0.0", sha256="a" * 64).add("b", "1.1.0", sha256="A" * 64)
    done = registry.run("registry", "validate")
    assert "warning: models[1].sha256: the same weights as a" in done.stdout


@pytest.mark.parametrize(
    ("url", "digest", "warning"),
    [
        ("https://e/b.ckpt", "a" * 64, "as a pickled checkpoint can contain code\n"),
        ("hf://o/r/b.pt@v1", None, "can contain code; without a sha256 the pods refuse a pickled one\n"),
        ("https://e/b.safetensors?download=true", None, None),
        ("hf://o/r/b.safetensors@v1", None, None),
    ],
)
def test_add_recommends_the_format_that_cannot_contain_code(
    registry: Registry, url: str, digest: str | None, warning: str | None
) -> None:
    registry.add("a", "1.0.0")
    given = ("--sha256", digest) if digest else ()
    done = registry.run(
        "registry", "add", "b", "--version", "1.1.0", "--like", "a", "--weights-url", url, *given, "--yes"
    )
    assert done.exit_code == 0, done.output
    assert ("expected a .safetensors file" in done.stderr) is (warning is not None)
    assert warning is None or warning in done.stderr


def test_add_appends_and_computes_the_digest(registry: Registry) -> None:
    before = registry.add("a", "1.0.0", backbone="b4", input_size=512, odd="kept").file.read_text()
    weights = registry.root / "new.ckpt"
    weights.write_bytes(b"new")
    (registry.root / "species_map.csv").write_bytes(b"species")
    metrics = registry.snapshot("b", "1.1.0")
    arguments = ["b", "--version", "1.1.0", "--like", "a", "--weights-url", "https://e/b", "--weights", str(weights)]
    done = registry.run("registry", "add", *arguments, "--metrics", str(metrics), "--notes", "ein Wal 🐋", "--yes")
    assert done.exit_code == 0, done.output
    after = registry.file.read_text()
    assert after.startswith(before[: before.rindex("\n    }") + 6] + ',\n    {\n      "name": "b"')
    assert after.endswith("\n    }\n  ]\n}\n")
    assert registry.read()["models"][1] == {
        "name": "b",
        "version": "1.1.0",
        "architecture": "A",
        "weights_url": "https://e/b",
        "sha256": hashlib.sha256(b"new").hexdigest(),
        "trained_at": None,
        "metrics_snapshot": "reports/b.json",
        "backbone": "b4",
        "input_size": 512,
        "notes": "ein Wal 🐋",
        "files": {"species_map.csv": hashlib.sha256(b"species").hexdigest()},
    }
    assert "figures: tpr 0.95, tnr 0.95" in done.stdout
    assert "the gate: b passes against a" in done.stdout


ADD = ["registry", "add", "b", "--version", "1.1.0", "--weights-url", "https://e/b", "--architecture", "A"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--version", "1.0.0"], "models[1].version: expected a version above 1.0.0 of a, got '1.0.0'"),
        (["--version", "new"], "version: expected a semantic version such as 1.2.0, got 'new'"),
        (["--sha256", "abc"], "sha256: expected 64 hex digits, got 'abc'"),
        (["--weights-url", "ftp://e"], "weights_url: expected http://…"),
        (["--weights", "nowhere.ckpt"], "nowhere.ckpt: cannot be read"),
        (["--metrics", "/nowhere.json"], "/nowhere.json: expected a file within"),
        (["--like", "z"], "expected one of the models a, got 'z'"),
        (["--num-classes-head", "1", "--num-classes-active", "2"], "num_classes_active must be at most"),
    ],
)
def test_add_rejects_an_invalid_entry(registry: Registry, more: list[str], message: str) -> None:
    before = registry.add("a", "1.0.0").file.read_bytes()
    done = registry.run(*ADD, *more, "--yes")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert registry.file.read_bytes() == before


def test_add_rejects_a_duplicate_name_and_a_snapshot_without_figures(registry: Registry) -> None:
    before = registry.add("a", "1.0.0").file.read_bytes()
    done = registry.run("registry", "add", "a", *ADD[3:], "--yes")
    assert "models[1].name: expected a name that no other model has, got 'a'" in done.stderr
    empty = registry.snapshot("b", "1.1.0", anti_fraud=None)
    done = registry.run(*ADD, "--metrics", str(empty), "--yes")
    assert "reports/b.json has no tpr, tnr, roc_auc" in done.stderr
    weights = registry.root / "w"
    weights.write_bytes(b"w")
    done = registry.run(*ADD, "--weights", str(weights), "--sha256", "f" * 64, "--yes")
    assert f"expected sha256 {'f' * 64}, got " in done.stderr
    assert registry.file.read_bytes() == before


def test_add_names_the_missing_option(registry: Registry) -> None:
    registry.add("a", "1.0.0")
    done = registry.run("registry", "add", "b", "--version", "1.1.0", "--weights-url", "https://e/b")
    assert done.exit_code == 2
    assert "Missing option '--architecture' or --like." in done.stderr
    assert (
        "Missing option '--weights-url'."
        in registry.run("registry", "add", "b", "--version", "2.0.0", "--like", "a").stderr
    )


def test_promote_changes_only_the_active_name(registry: Registry) -> None:
    before = registry.add("a", "1.0.0").add("b", "1.1.0").write(indent="\t").file.read_text()
    done = registry.run("registry", "promote", "b", "-y")
    assert done.exit_code == 0, done.output
    assert registry.file.read_text() == before.replace('"active": "a"', '"active": "b"')
    assert "b passes against a: TNR 0.9500 is at least 0.9000 (minTNR)" in done.stdout


def test_promote_refuses_a_regression_and_names_the_figures(registry: Registry) -> None:
    before = registry.add("a", "1.0.0").add("b", "1.1.0", figures={"tn": 92, "tp": 80}).file.read_bytes()
    done = registry.run("registry", "promote", "b", "--yes")
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "Error: b is refused against a: TPR 0.8000 is below 0.8500 (minTPR); "
        "TNR 0.9200 is more than 0.0200 below a's 0.9500 (maxRegression); "
        "TPR 0.8000 is more than 0.0200 below a's 0.9500 (maxRegression)"
    )
    assert registry.file.read_bytes() == before
    bounds = ["--min-tpr", "0.8", "--max-regression", "0.15"]
    assert registry.run("registry", "promote", "b", "--yes", *bounds).exit_code == 0


def test_promote_refuses_a_deprecated_model_and_one_without_figures(registry: Registry) -> None:
    registry.add("a", "1.0.0").add("old", "1.1.0", deprecated=True).add("bare", "1.2.0", metrics_snapshot=None)
    assert (
        "old is refused: the registry says that it is deprecated" in registry.run("registry", "promote", "old").stderr
    )
    done = registry.run("registry", "promote", "bare")
    assert done.exit_code == 1
    assert "TNR is missing, at least 0.9000 is needed" in done.stderr
    (registry.root / "reports/a.json").unlink()
    assert registry.run("registry", "promote", "bare").exit_code == 2, "a snapshot that is named must exist"


@pytest.mark.parametrize(("answer", "code", "active"), [("y\n", 0, "b"), ("n\n", 1, "a"), ("", 1, "a")])
def test_a_change_is_applied_only_after_the_confirmation(
    registry: Registry, answer: str, code: int, active: str
) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0")
    done = registry.run("registry", "promote", "b", input=answer)
    assert done.exit_code == code
    assert "active: a → b" in done.stdout
    assert registry.read()["active"] == active


def test_a_dry_run_and_an_empty_change_write_nothing(registry: Registry) -> None:
    before = registry.add("a", "1.0.0").add("b", "1.1.0").file.stat()
    assert "dry run" in registry.run("registry", "promote", "b", "--dry-run").stdout
    assert "nothing to change" in registry.run("registry", "promote", "a").stdout
    assert "dry run" in registry.run(*ADD[:2], "c", "--version", "1.2.0", *ADD[5:], "--dry-run").stdout
    after = registry.file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_standard_output_has_only_the_json(registry: Registry) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0")
    done = registry.run("registry", "promote", "b", "-o", "json", input="y\n")
    result = json.loads(done.stdout)
    assert result["changes"] == [{"path": "active", "from": "a", "to": "b"}]
    assert (result["changed"], result["gate"]["passed"], len(result["gate"]["findings"])) == (True, True, 5)
    assert "Apply this change?" in done.stderr


def test_rollback_goes_to_the_previous_entry(registry: Registry) -> None:
    registry.add("a", "1.0.0", figures={"tn": 10}).add("old", "1.1.0", deprecated=True).add("b", "1.2.0")
    registry.active = "b"
    registry.write()
    done = registry.run("registry", "rollback", "--yes")
    assert (done.exit_code, registry.read()["active"]) == (0, "a")
    done = registry.run("registry", "rollback", "--yes")
    assert done.exit_code == 1
    assert "expected an entry before a that is not deprecated; name one with --to" in done.stderr
    done = registry.run("registry", "rollback", "--to", "old", "--yes")
    assert "warning: old is deprecated" in done.stderr
    assert registry.read()["active"] == "old"


def test_a_rollback_is_possible_despite_other_faults(registry: Registry) -> None:
    registry.add("a", "1.0.0").add("b", "0.9.0", metrics_snapshot="nowhere.json")
    registry.active = "b"
    registry.write()
    assert registry.run("registry", "validate").exit_code == 1
    assert registry.run("registry", "rollback", "--yes").exit_code == 0


def test_a_file_that_was_changed_after_it_was_shown_is_not_overwritten(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0")

    def confirm(*_: object, **__: object) -> None:
        registry.add("c", "1.2.0")

    monkeypatch.setattr("click.confirm", confirm)
    done = registry.run("registry", "promote", "b")
    assert done.exit_code == 1
    assert "was changed after it was shown: run the command again" in done.stderr
    assert [model["name"] for model in registry.read()["models"]] == ["a", "b", "c"]


def test_a_file_keeps_its_mode_and_a_link_stays_one(registry: Registry) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0")
    registry.file.chmod(0o640)
    real = registry.file.rename(registry.root / "models/real.json")
    registry.file.symlink_to(real)
    assert registry.run("registry", "promote", "b", "--yes").exit_code == 0
    assert registry.file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in real.parent.iterdir()) == ["real.json", "registry.json"]


def test_gate_check_compares_two_models(registry: Registry) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0").add("c", "1.2.0", figures={"roc_auc": 0.9})
    assert registry.run("gate", "check", "b").exit_code == 0
    done = registry.run("gate", "check", "c")
    assert done.exit_code == 1
    assert "FAIL  ROC AUC 0.9000 is more than 0.0200 below a's 0.9800 (maxRegression)" in done.stdout
    assert "ok    TNR 0.9500 is at least 0.9000 (minTNR)" in done.stdout
    result = json.loads(registry.run("gate", "check", "b", "--against", "c", "-o", "json").stdout)
    assert (result["candidate"], result["comparedWith"], result["passed"]) == ("b", "c", True)
    assert registry.run("gate", "check", "a").stdout.count("\n") == 2, "against itself only the bounds count"
    assert registry.run("gate", "check", "z").exit_code == 2
    assert registry.run("gate", "check", "b", "--min-tnr", "2").exit_code == 2


def with_outcomes(registry: Registry, *, lost: int) -> None:
    """Add the models a and b, of which b names so many pictures of 100 wrong that a names right."""
    for name, version, wrong in (("a", "1.0.0", 0), ("b", "1.1.0", lost)):
        found = outcomes.write(registry.root / f"reports/{name}.json", [False] * wrong + [True] * (100 - wrong))
        species = [{"species": "orca", "n_samples": 100, "species_accuracy": found["species_accuracy"]}]
        registry.add(name, version, figures={"identification": found, "by_species": species})


def test_gate_check_compares_picture_by_picture_and_lists_what_turned_wrong(registry: Registry) -> None:
    with_outcomes(registry, lost=7)
    done = registry.run("gate", "check", "b", "--evidence", "Interval")
    assert done.exit_code == 1
    assert "FAIL  top-1, picture by picture: of 100, 7 turned from right to wrong and 0 from wrong" in done.stdout
    assert "species accuracy: pictures that turned from right to wrong (7):\n  test/0.jpg: minke (0.90)" in done.stdout
    result = json.loads(registry.run("gate", "check", "b", "-o", "json").stdout)
    (top1, species) = result["pictures"]
    assert (top1["result"], top1["wrongToRight"], top1["rightToWrong"][:2]) == (
        "worse",
        0,
        ["test/0.jpg", "test/1.jpg"],
    )
    assert (species["figure"], species["pictures"], round(species["pValue"], 4)) == ("species accuracy", 100, 0.0156)


def test_gate_check_says_if_the_set_is_too_small_or_has_no_outcomes(registry: Registry) -> None:
    with_outcomes(registry, lost=1)
    done = registry.run("gate", "check", "b")
    assert done.exit_code == 0
    assert "too few to decide" in done.stdout
    (registry.root / "reports/a.outcomes.jsonl").unlink()
    done = registry.run("gate", "check", "b")
    assert "not compared picture by picture: a has no outcomes; scripts/compute_metrics.py writes them" in done.stdout
    assert json.loads(registry.run("gate", "check", "b", "-o", "json").stdout)["pictures"] is None


def test_each_bound_of_the_resource_is_an_option(registry: Registry) -> None:
    with_outcomes(registry, lost=2)
    assert registry.run("gate", "check", "b", "--min-top1", "0.98", "--min-species-accuracy", "0.98").exit_code == 0
    assert "top-1 0.9800 is below 0.9900 (minTop1)" in registry.run("gate", "check", "b", "--min-top1", "0.99").stdout
    done = registry.run("gate", "check", "b", "--species-max-regression", "0.01")
    assert "species accuracy of orca 0.9800 is more than 0.0100 below a's 1.0000" in done.stdout
    assert registry.run("gate", "check", "b", "--species-min-samples", "101").exit_code == 0
    assert registry.run("registry", "promote", "b", "--min-top1", "0.99", "--yes").exit_code == 1
    assert registry.run("registry", "promote", "b", "--min-top1", "0.98", "--yes").exit_code == 0


def test_the_manifest_mirrors_the_file(registry: Registry) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0", backbone="b4")
    (registry.root / "configs").mkdir()
    (registry.root / "configs/anti_fraud_threshold.yaml").write_text("threshold: 0.4\ncalibrated_at: 2026-01-02\n")
    done = registry.run("registry", "to-manifest", "whales", "--image", "i:1", "--replicas", "2", "-n", "sea")
    manifest = yaml.safe_load(done.stdout)
    assert manifest["metadata"] == {"name": "whales", "namespace": "sea"}
    spec = parse_spec(manifest["spec"])
    assert (spec.registry.active, [model.name for model in spec.registry.models]) == ("a", ["a", "b"])
    assert spec.registry.models[1].metrics is not None
    assert (spec.registry.models[1].metrics.tpr, spec.registry.models[1].backbone) == (0.95, "b4")
    assert (spec.serving.image, spec.serving.replicas) == ("i:1", 2)
    assert (spec.anti_fraud.threshold, spec.anti_fraud.calibrated_at) == (0.4, "2026-01-02")


def test_the_manifest_is_printed_as_values_of_the_chart(registry: Registry) -> None:
    registry.add("a", "1.0.0")
    base = registry.root / "base.yaml"
    manifest = yaml.safe_load((REPOSITORY / "examples/full.yaml").read_text())
    manifest["metadata"] |= {"namespace": "sea", "labels": {"team": "whales"}}
    base.write_text(yaml.safe_dump(manifest))
    given = ("registry", "to-manifest", "--base", str(base))
    made, values = (yaml.safe_load(registry.run(*given, "-o", shape).stdout) for shape in ("yaml", "values"))
    assert values == {"name": made["metadata"]["name"], "labels": {"team": "whales"}, "spec": made["spec"]}
    schema = json.loads((REPOSITORY / "charts/cetacean-model/values.schema.json").read_text())
    Draft202012Validator(schema).validate(values)


def test_of_a_large_registry_the_active_the_served_and_the_newest_models_are_kept(registry: Registry) -> None:
    for number in range(70):
        registry.add(f"m{number:02}", f"1.{number}.0")
    base = registry.root / "base.yaml"
    manifest = yaml.safe_load((REPOSITORY / "examples/minimal.yaml").read_text())
    manifest["spec"]["registry"]["active"] = "m01"
    manifest["status"] = {
        "served": [{"entry": {"name": "m02"}}, {"entry": {"name": "gone"}}, None],
        "history": [{"model": "m03"}, "x"],
    }
    base.write_text(yaml.safe_dump(manifest))
    done = registry.run("registry", "to-manifest", "--base", str(base))
    assert done.exit_code == 0, done.output
    kept = [model["name"] for model in yaml.safe_load(done.stdout)["spec"]["registry"]["models"]]
    assert registry.read()["active"] == "m00"
    assert kept == [f"m{number:02}" for number in range(70) if not 4 <= number < 10]
    assert "the resource holds 64 models, 6 are left out: m04, m05, m06, m07, m08, m09." in done.stderr
    assert "left out" not in registry.run("registry", "to-manifest", "x", "--image", "i", "-o", "json").stdout


def test_a_registry_that_the_resource_can_hold_is_mirrored_without_a_warning(registry: Registry) -> None:
    for number in range(64):
        registry.add(f"m{number:02}", f"1.{number}.0")
    done = registry.run("registry", "to-manifest", "x", "--image", "i")
    assert (len(yaml.safe_load(done.stdout)["spec"]["registry"]["models"]), done.stderr) == (64, "")


def test_a_base_keeps_everything_but_the_registry(registry: Registry) -> None:
    registry.add("a", "1.0.0")
    base = registry.root / "base.yaml"
    base.write_text((REPOSITORY / "examples/full.yaml").read_text())
    given = yaml.safe_load(base.read_text())
    done = registry.run("registry", "to-manifest", "--base", str(base), "-o", "json")
    made = json.loads(done.stdout)
    assert [model["name"] for model in made["spec"].pop("registry")["models"]] == ["a"]
    given["spec"].pop("registry")
    assert made == given
    base.write_text("kind: Pod")
    done = registry.run("registry", "to-manifest", "--base", str(base))
    assert (done.exit_code, "expected one manifest of a CetaceanModel" in done.stderr) == (2, True)
    assert registry.run("registry", "to-manifest").exit_code == 2
    assert registry.run("registry", "to-manifest", "x", "--image", "i", "--threshold-file", "nowhere").exit_code == 2


def test_add_declares_a_hotfix_and_its_author(registry: Registry) -> None:
    registry.add("first", "1.0.0")
    options = ("--version", "1.0.1", "--weights-url", "https://example.org/x.safetensors", "--like", "first")
    added = registry.run("registry", "add", "second", *options, "--hotfix", "--author", "alice", "--yes")
    assert added.exit_code == 0, added.output
    assert registry.read()["models"][1] | {"hotfix": True, "author": "alice"} == registry.read()["models"][1]
    plain = registry.run("registry", "add", "third", *options, "--version", "1.0.2", "--yes")
    assert plain.exit_code == 0, plain.output
    assert not {"hotfix", "author"} & registry.read()["models"][2].keys()
