"""The commands, on real models that were hardly trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from cetacean_evaluation.commands import calibrate_clip_threshold, compute_metrics
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_tools.demo_models import DemoModels, TrainingError, __main__


def gate(models: DemoModels, cache: Path) -> list[str]:
    files = {"config": models.folder / "gate/config.json", "weights": models.folder / "gate/gate.safetensors"}
    named = [part for name, path in files.items() for part in (f"--gate-{name}", str(path))]
    return [*named, "--manifest", str(models.folder / "pictures/manifest.csv"), "--cache", str(cache)]


def test_the_table_shows_each_version(
    tiny: DemoModels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(__main__, "ensure_models", lambda show: tiny)
    assert __main__.main([]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("demo_v1", "demo_v2", "demo_v3", "demo_permuted", "1.3.0"))


def test_a_failed_training_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(show: object) -> DemoModels:
        raise TrainingError("expected better models")

    monkeypatch.setattr(__main__, "ensure_models", fail)
    assert __main__.main([]) == 1
    assert capsys.readouterr().err == "error: expected better models\n"


def test_the_same_figures_come_out_of_compute_metrics(
    tiny: DemoModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "metrics.json"
    code = compute_metrics.main(
        [
            *("--registry", str(tiny.folder / "registry.json"), "--model", "demo_v2"),
            *("--weights", str(tiny.folder / "weights/demo_v2/demo_v2.safetensors"), "--out", str(out)),
            *("--threshold-file", str(tiny.folder / "anti_fraud_threshold.yaml")),
            *gate(tiny, tmp_path / "cache"),
        ]
    )
    ours, theirs = MetricsSnapshot.load(out), tiny.snapshots()["demo_v2"]
    assert ours.anti_fraud == theirs.anti_fraud
    assert ours.identification == theirs.identification
    assert ours.cetacean_score_mean == pytest.approx(theirs.cetacean_score_mean)
    assert code == 3, "after one step of training it must be refused"
    assert capsys.readouterr().out.startswith("demo_v2 is refused")


def test_calibration_names_the_threshold_that_measuring_found(
    tiny: DemoModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "threshold.yaml"
    code = calibrate_clip_threshold.main(["--split", "calibration", "--out", str(out), *gate(tiny, tmp_path / "cache")])
    printed = capsys.readouterr()
    assert code == 3, "after one step of training no threshold can be good enough"
    assert printed.err.splitlines()[-1].startswith("error: no threshold from 0.30 to 0.80 keeps TNR ≥ 0.90")
    assert f"threshold: {tiny.threshold}" in printed.out
    assert not out.exists()
