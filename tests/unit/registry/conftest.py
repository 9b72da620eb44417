"""A registry and a snapshot that tests change."""

from __future__ import annotations

from typing import Any

import pytest

Json = dict[str, Any]


@pytest.fixture
def entry() -> Json:
    """A registry entry with only the required fields."""
    return {
        "name": "effb4_15k",
        "version": "1.0.0",
        "architecture": "CetaceanIdentificationModel",
        "weights_url": "https://example.org/effb4.ckpt",
    }


@pytest.fixture
def registry(entry: Json) -> Json:
    """A registry with that one entry."""
    return {"schema_version": "1.0", "active": "effb4_15k", "models": [entry]}


@pytest.fixture
def snapshot() -> Json:
    """A metrics snapshot in the form that the service's scripts write."""
    return {
        "generated_at": "2025-12-15T10:00:00Z",
        "manifest_path": "data/test_split/manifest.csv",
        "sample_size": 202,
        "model_version": "1.0.0",
        "cetacean_score_mean": 0.93,
        "cetacean_score_std": 0.08,
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
        "identification": {"n_samples": 100, "top1_accuracy": 0.22, "top5_accuracy": 0.25, "n_unique_individuals": 93},
        "clarity": {"mean": 0.5},
        "performance": {"n_samples": 100, "latency_p50_ms": 484.0, "latency_p95_ms": 519.0},
    }
