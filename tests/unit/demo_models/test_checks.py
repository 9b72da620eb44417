"""Models that cannot show the demo's steps are refused, and each fault is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.registry import Registry
from cetacean_tools.demo_models import DemoModels, recipe
from cetacean_tools.demo_models.checks import check

Counts = dict[str, dict[str, float]]
GOOD: Counts = {
    "demo_v1": {"tp": 160, "tn": 160, "top1": 0.6},
    "demo_v2": {"tp": 162, "tn": 160, "top1": 0.9},
    "demo_v3": {"tp": 20, "tn": 161, "top1": 0.1},
    "demo_permuted": {"tp": 162, "tn": 160, "top1": 0.0},
}


def snapshot(*, tp: int, tn: int, top1: float) -> MetricsSnapshot:
    positive = negative = 168
    content: dict[str, Any] = {
        "evaluation_set": "drawn",
        "sample_size": positive + negative,
        "cetacean_score_mean": 0.95,
        "anti_fraud": {
            "n_positive": positive,
            "n_negative": negative,
            "tp": tp,
            "fn": positive - tp,
            "tn": tn,
            "fp": negative - tn,
            "tpr": round(tp / positive, 4),
            "tnr": round(tn / negative, 4),
            "roc_auc": 0.99,
        },
        "identification": {"n_samples": positive, "top1_accuracy": top1, "top_probability_mean": 0.9},
    }
    return MetricsSnapshot.model_validate(content)


def problems(folder: Path, changes: Counts | None = None, *, drifted_mean: float = 0.4) -> list[str]:
    (folder / "reports").mkdir()
    entries = []
    for version in recipe.VERSIONS:
        figures: dict[str, Any] = {**GOOD[version.name], **(changes or {}).get(version.name, {})}
        path = f"reports/{version.name}.json"
        (folder / path).write_text(snapshot(**figures).to_json())
        entries.append(
            {
                "name": version.name,
                "version": version.version,
                "architecture": "A",
                "weights_url": "http://weights.invalid/a",
                "metrics_snapshot": path,
            }
        )
    registry = Registry.model_validate({"active": "demo_v1", "models": entries})
    (folder / "registry.json").write_text(registry.to_json())
    return check(DemoModels(folder), drifted_mean=drifted_mean)


def test_good_models_have_no_faults(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"demo_v1": {"tp": 150}}, "expected demo_v1's TPR to be at least 0.95, got 0.8929"),
        ({"demo_v2": {"tn": 155}}, "expected demo_v2's TNR to be at least 0.9524, got 0.9226"),
        ({"demo_v2": {"tn": 159, "tp": 160}}, "expected demo_v2's TNR to be at least 0.9524, got 0.9464"),
        ({"demo_v2": {"top1": 0.5}}, "expected demo_v2's top-1 to be above 0.6, got 0.5"),
        ({"demo_v3": {"tp": 160, "top1": 0.9}}, "expected demo_v3 to be refused against demo_v2, got a pass"),
        ({"demo_v1": {"top1": 0.39}}, "expected demo_v1 to pass, got a refusal"),
        ({"demo_permuted": {"tp": 161}}, "expected demo_permuted's TPR and TNR to be demo_v2's, got (0.9583, 0.9524)"),
        ({"demo_permuted": {"top1": 0.9}}, "expected demo_permuted to be refused as confidently wrong, got  passes"),
        ({"demo_v3": {"tp": 150}}, "expected demo_v3's TPR to be below 0.85, got 0.8929"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, changes: Counts, said: str) -> None:
    assert any(problem.startswith(said) for problem in problems(tmp_path, changes))


def test_drift_too_small_for_an_alarm_is_a_fault(tmp_path: Path) -> None:
    assert problems(tmp_path, drifted_mean=0.9) == ["expected drifted pictures to score 0.15 below 0.95, got 0.9000"]
