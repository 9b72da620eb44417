"""The resource that mirrors the registry's file, and the operator's reading of it."""

from __future__ import annotations

import json
from typing import Any

from cetacean_operator.api.spec import Spec
from cetacean_registry.manifest import to_manifest
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import Registry

Json = dict[str, Any]


def test_the_manifest_mirrors_the_registry_one_to_one(registry: Json, entry: Json, snapshot: Json) -> None:
    second = {**entry, "name": "second", "sha256": None, "trained_at": "2025-12-15", "num_classes_head": 15587}
    registry["models"].append(second)
    manifest = to_manifest(
        Registry.parse(json.dumps(registry)),
        {"effb4_15k": MetricsSnapshot.parse(json.dumps(snapshot))},
        name="whales",
        namespace="sea",
        serving={"image": "inference:1", "replicas": 2},
        anti_fraud={"threshold": 0.52},
        gates=GatePolicy(min_tnr=0.91),
        drift={"window": 100},
    )
    first = {
        "name": "effb4_15k",
        "version": "1.0.0",
        "architecture": "CetaceanIdentificationModel",
        "weightsUrl": "https://example.org/effb4.ckpt",
    }
    figures = {
        "tpr": 0.95,
        "tnr": 0.902,
        "rocAuc": 0.984,
        "positives": 100,
        "negatives": 102,
        "cetaceanScoreMean": 0.93,
        "sampleSize": 202,
        "evaluationSet": "data/test_split/manifest.csv",
        "identification": {"samples": 100, "top1": 0.22, "top5": 0.25},
    }
    assert manifest == {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "CetaceanModel",
        "metadata": {"name": "whales", "namespace": "sea"},
        "spec": {
            "registry": {
                "schemaVersion": "1.0",
                "active": "effb4_15k",
                "models": [
                    {**first, "metrics": figures},
                    {**first, "name": "second", "trainedAt": "2025-12-15", "numClassesHead": 15587},
                ],
            },
            "serving": {"image": "inference:1", "replicas": 2},
            "antiFraud": {"threshold": 0.52},
            "gates": {"minTNR": 0.91, "minTPR": 0.85, "maxRegression": 0.02, "evidence": "Point"},
            "drift": {"window": 100},
        },
    }


def test_a_missing_argument_leaves_the_field_to_the_resources_default(registry: Json) -> None:
    manifest = to_manifest(Registry.parse(json.dumps(registry)), {}, name="whales", serving={"image": "i"})
    assert set(manifest["spec"]) == {"registry", "serving"}
    assert manifest["metadata"] == {"name": "whales"}


def test_a_manifest_has_only_values_of_json(registry: Json, entry: Json, snapshot: Json) -> None:
    entry["files"] = {"encoder_classes.npy": "a" * 64}
    snapshot["reference"] = {"cetacean_score": [5] * 20, "top_probability": [5] * 20}
    figures = {"effb4_15k": MetricsSnapshot.parse(json.dumps(snapshot))}
    manifest = to_manifest(Registry.parse(json.dumps(registry)), figures, name="whales", serving={"image": "i"})
    assert json.loads(json.dumps(manifest)) == manifest


def test_keys_that_the_resource_does_not_know_are_left_out(registry: Json, entry: Json) -> None:
    entry["experiment"] = 7
    registry["generated_by"] = "notebook"
    manifest = to_manifest(Registry.parse(json.dumps(registry)), {}, name="whales", serving={"image": "i"})
    assert set(manifest["spec"]["registry"]) == {"schemaVersion", "active", "models"}
    assert "experiment" not in manifest["spec"]["registry"]["models"][0]


def test_the_operator_reads_the_same_values_from_the_manifest(registry: Json, snapshot: Json) -> None:
    read = Registry.parse(json.dumps(registry))
    figures = MetricsSnapshot.parse(json.dumps(snapshot))
    manifest = to_manifest(read, {"effb4_15k": figures}, name="whales", serving={"image": "i"})
    mirrored = Spec.model_validate(manifest["spec"]).registry
    assert mirrored.active == read.active
    (model,) = mirrored.models
    assert model.metrics == figures.metrics
    known = set(read.active_model.model_dump())
    assert model.model_dump(include=known) == read.active_model.model_dump()
