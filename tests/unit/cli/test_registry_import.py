"""`registry import`: the previous service's registry becomes one that this project accepts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cetacean_cli.main import cli
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.registry import Registry

SHA256 = "920467b4b8b632ce1e3dcc4d65e85ad484c5b2ddb3a062e20889dcf70d17a45b"
# The fields of the previous repository's file at its last commit.
OLD: dict[str, Any] = {
    "schema_version": "1.1",
    "active": "effb4_arcface",
    "models": [
        {
            "name": "effb4_arcface",
            "version": "effb4-arcface-v1",
            "architecture": "EfficientNetArcFace",
            "weights_path": "service/models/efficientnet_b4_512_fold0.ckpt",
            "weights_url": "https://huggingface.co/o/r/resolve/main/efficientnet_b4_512_fold0.ckpt",
            "sha256": SHA256,
            "trained_at": "2025-12-15T00:00:00Z",
            "metrics_snapshot": "reports/metrics_latest.json",
            "num_classes_head": 15587,
            "num_classes_active": 13837,
            "input_size": 512,
            "license": "CC-BY-NC-4.0",
        },
        {
            "name": "resnet101",
            "version": "1.0.0",
            "architecture": "CetaceanIdentificationModel",
            "weights_url": "https://huggingface.co/o/w/resolve/main/resnet101.pth",
            "sha256": "a" * 64,
            "metrics_snapshot": None,
        },
        {
            "name": "vit_l32",
            "version": "1.0.0",
            "architecture": "VisionTransformer",
            "weights_url": "https://disk.example.org/d/x",
            "sha256": None,
            "metrics_snapshot": None,
            "deprecated": True,
        },
    ],
}
SNAPSHOT: dict[str, Any] = {
    "generated_at": "2026-04-15T13:15:39.392866+00:00",
    "manifest_path": "data/test_split/manifest.csv",
    "sample_size": 202,
    "model_version": "effb4-arcface-v1",
    "anti_fraud": {
        "n_positive": 100,
        "n_negative": 102,
        "tp": 95,
        "fp": 10,
        "tn": 92,
        "fn": 5,
        "tpr": 0.95,
        "tnr": 0.902,
        "precision": 0.9048,
        "f1": 0.9268,
        "roc_auc": 0.984,
    },
    "clarity": {"mean": 4485.01},
}


class Repositories:
    """The previous repository, and a new one beside it."""

    def __init__(self, root: Path) -> None:
        self.old, self.new = root / "old", root / "new"
        self.file = self.new / "models/registry.json"
        (self.old / "models").mkdir(parents=True)
        (self.old / "reports").mkdir()
        (self.old / "reports/metrics_latest.json").write_text(json.dumps(SNAPSHOT))
        self.write(OLD)

    def write(self, content: Any) -> None:
        (self.old / "models/registry.json").write_text(json.dumps(content))

    def run(self, *arguments: str) -> Result:
        old = str(self.old / "models/registry.json")
        return CliRunner().invoke(cli, ["registry", "import", old, "--file", str(self.file), "--yes", *arguments])


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path)


def changed(index: int, **changes: Any) -> dict[str, Any]:
    content = copy.deepcopy(OLD)
    content["models"][index] |= changes
    return content


def test_the_previous_repositorys_registry_becomes_a_valid_one(repositories: Repositories) -> None:
    done = repositories.run()
    assert done.exit_code == 0, done.output
    checked = CliRunner().invoke(cli, ["registry", "validate", "--file", str(repositories.file)])
    assert checked.exit_code == 0, checked.output
    registry = Registry.load(repositories.file)
    active = registry.active_model
    assert (active.name, active.version, active.architecture) == (
        "effb4_arcface",
        "1.0.0",
        "CetaceanIdentificationModel",
    )
    assert (active.backbone, active.embedding_size, active.sha256) == ("efficientnet_b4", 512, SHA256)
    assert [entry.name for entry in registry.models] == ["effb4_arcface", "vit_l32"]
    assert registry.model("vit_l32").deprecated


def test_each_change_is_shown(repositories: Repositories) -> None:
    printed = repositories.run().stdout
    for line in (
        "effb4_arcface: version effb4-arcface-v1 becomes 1.0.0",
        "effb4_arcface: architecture EfficientNetArcFace becomes CetaceanIdentificationModel, backbone efficientnet_b4",
        "resnet101: left out: its version 1.0.0 is not above 1.0.0 of effb4_arcface",
        "reports/metrics_latest.json: copied",
    ):
        assert line in printed


def test_the_snapshot_is_copied_with_the_new_version_and_everything_else(repositories: Repositories) -> None:
    repositories.run()
    path = repositories.new / "reports/metrics_latest.json"
    assert json.loads(path.read_text()) == SNAPSHOT | {"model_version": "1.0.0"}
    assert MetricsSnapshot.load(path).metrics.tnr == 0.902


def test_the_other_model_is_kept_if_it_gets_a_version_above(repositories: Repositories) -> None:
    done = repositories.run("--version", "resnet101=1.1.0", "--version", "effb4_arcface=1.0.1")
    assert done.exit_code == 0, done.output
    versions = {entry.name: entry.version for entry in Registry.load(repositories.file).models}
    assert versions == {"effb4_arcface": "1.0.1", "resnet101": "1.1.0", "vit_l32": "1.0.0"}


@pytest.mark.parametrize(
    ("version", "becomes"),
    [("v2", "2.0.0"), ("effb4-v1.2", "1.2.0"), ("3", "3.0.0"), ("a_01.02.3", "1.2.3"), ("1.0.0-rc.1", "1.0.0-rc.1")],
)
def test_the_number_at_the_end_of_a_version_counts(repositories: Repositories, version: str, becomes: str) -> None:
    repositories.write(changed(0, version=version))
    assert repositories.run("--version", "resnet101=9.0.0").exit_code == 0
    assert Registry.load(repositories.file).active_model.version == becomes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(0, version="latest"), "give one with --version effb4_arcface=1.0.0"),
        (changed(0, version=None), "expected a version that ends in a number"),
        (changed(0, metrics_snapshot="reports/absent.json"), "absent.json: cannot be read"),
        (changed(0, weights_url="ftp://x"), "weights_url: expected http://"),
        (changed(0, version={"a": 1}, metrics_snapshot=7), "expected a version that ends in a number"),
        (changed(1, architecture=["x"], name=7), "name: Input should be a valid string"),
        (changed(0, name=None), "expected an object with models, each with a name"),
        ([], "expected an object with models"),
        (OLD | {"active": "absent"}, "active: expected one of the models"),
        (OLD | {"active": "resnet101"}, "expected a version above 1.0.0 of effb4_arcface"),
    ],
)
def test_what_cannot_be_converted_is_named_and_nothing_is_written(
    repositories: Repositories, content: Any, message: str
) -> None:
    repositories.write(content)
    done = repositories.run()
    assert isinstance(done.exception, SystemExit), "an error in one line, no traceback"
    assert done.exit_code != 0
    assert message in done.stderr
    assert not repositories.new.exists()


@pytest.mark.parametrize("given", ["resnet101", "=1.0.0", "absent=1.0.0", "resnet101=new"])
def test_a_wrong_version_option_is_named(repositories: Repositories, given: str) -> None:
    done = repositories.run("--version", given)
    assert done.exit_code != 0
    assert isinstance(done.exception, SystemExit), "an error in one line, no traceback"
    assert "--version: expected" in done.stderr
    assert not repositories.new.exists()


def test_an_existing_file_is_not_overwritten(repositories: Repositories) -> None:
    repositories.file.parent.mkdir(parents=True)
    repositories.file.write_text("{}")
    done = repositories.run()
    assert done.exit_code != 0
    assert "expected no file yet: move it away" in done.stderr
    assert repositories.file.read_text() == "{}"


def test_an_existing_snapshot_is_not_overwritten(repositories: Repositories) -> None:
    snapshot = repositories.new / "reports/metrics_latest.json"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_text("{}")
    assert repositories.run().exit_code != 0
    assert snapshot.read_text() == "{}"
    assert not repositories.file.exists()


def test_a_dry_run_writes_nothing(repositories: Repositories) -> None:
    done = repositories.run("--dry-run", "-o", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["registry"]["models"][0]["version"] == "1.0.0"
    assert not repositories.new.exists()
