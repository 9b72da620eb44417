"""Measure trained models on the held-out pictures, through the pipeline that serves."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from cetacean_evaluation.figures import compute_snapshot
from cetacean_evaluation.manifest import Picture, read_manifest
from cetacean_evaluation.outcomes import outcomes_of
from cetacean_evaluation.scoring import open_pipeline, score
from cetacean_evaluation.settings import model_settings
from cetacean_evaluation.thresholds import calibrate, sweep, threshold_file
from cetacean_inference.settings import GateSettings
from cetacean_registry.outcomes import outcomes_path, write_outcomes
from cetacean_registry.registry import Registry
from cetacean_tools.demo_models import recipe
from cetacean_tools.demo_models.models import DemoModels


def measure(models: DemoModels, *, now: str) -> float:
    """Calibrate the gate and write `anti_fraud_threshold.yaml` and a snapshot of each version.

    Args:
        models: whose folder has weights, registry and pictures.
        now: ISO 8601, for the reports.

    Returns:
        The mean cetacean score of the drifted pictures.
    """
    folder = models.folder
    registry = Registry.load(folder / "registry.json")
    manifest = folder / "pictures/manifest.csv"
    own = models.gate(folder.as_uri())
    gate = GateSettings(
        architecture=own["architecture"],
        config_url=own["configURL"],
        weights_url=own["weightsURL"],
        sha256=own["sha256"],
    )
    (folder / "reports").mkdir()
    with tempfile.TemporaryDirectory() as cache, ExitStack() as stack:
        pipelines = {
            entry.name: stack.enter_context(
                open_pipeline(
                    model=model_settings(entry, weights_url=f"{folder.as_uri()}/{entry.weights_path}"),
                    gate=gate,
                    cache=Path(cache),
                )
            )
            for entry in registry.models
        }
        active = pipelines[recipe.ACTIVE]
        calibration = score(active, read_manifest(manifest, split="calibration"))
        points = sweep(
            [one.cetacean_score for one in calibration if one.picture.cetacean],
            [one.cetacean_score for one in calibration if not one.picture.cetacean],
        )
        chosen = calibrate(points, min_tnr=recipe.MIN_RATE, min_tpr=recipe.MIN_RATE)
        (folder / "anti_fraud_threshold.yaml").write_text(threshold_file(chosen, calibrated_at=now), encoding="utf-8")
        for entry in registry.models:
            scored = score(pipelines[entry.name], read_manifest(manifest, split="test"))
            snapshot = compute_snapshot(
                scored,
                threshold=chosen.chosen.threshold,
                model_version=entry.version,
                manifest_path="pictures/manifest.csv",
                evaluation_set=recipe.EVALUATION_SET,
                weights_sha256=entry.sha256,
                generated_at=now,
            )
            report = folder / f"reports/{entry.name}.json"
            report.write_text(snapshot.to_json(), encoding="utf-8")
            write_outcomes(outcomes_path(report), outcomes_of(scored, manifest.parent))
        drifted = score(active, [Picture(path, cetacean=True) for path in models.drifted])
    return sum(one.cetacean_score for one in drifted) / len(drifted)
