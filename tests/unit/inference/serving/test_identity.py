"""The identity: the same model, weights and threshold for every reader."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.inference_world import DIGEST, VERIFIED, FakePipeline, make_settings

from cetacean_inference.serving.identity import Identity


def test_report_headers_lineage_and_labels_agree(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, model=VERIFIED["model"], gate=VERIFIED["gate"] | {"threshold": 0.4})
    identity = Identity(settings, FakePipeline().identity)
    report, headers, lineage, labels = (
        identity.report(ready=True),
        identity.headers(),
        identity.lineage(),
        identity.metric_labels() or {},
    )
    assert report["weights"]["sha256"] == report["weights"]["expected_sha256"] == DIGEST
    assert report["weights"]["verified"]
    assert headers["X-Weights-SHA256"] == lineage["weights_sha256"] == labels["sha256"] == DIGEST
    assert report["model"]["version"] == headers["X-Model-Version"] == lineage["version"] == labels["version"]
    assert report["gate"]["threshold"] == lineage["threshold"] == 0.4
    assert headers["X-Gate-Threshold"] == labels["threshold"] == "0.4"
    assert labels == {
        "name": settings.model.name,
        "version": settings.model.version,
        "sha256": DIGEST,
        "engine": identity.engine,
        "threshold": "0.4",
    }


def test_the_report_is_what_the_operator_reads(tmp_path: Path) -> None:
    served = replace(FakePipeline().identity, gate_sha256="ef" * 32)
    settings = make_settings(tmp_path, model=VERIFIED["model"], gate=VERIFIED["gate"] | {"threshold": 0.4})
    model = settings.model
    expected = {
        "model": {"name": model.name, "version": model.version, "architecture": model.architecture},
        "weights": {
            "sha256": DIGEST,
            "expected_sha256": DIGEST,
            "files": dict(served.files),
            "unverified": [],
            "verified": True,
        },
        "gate": {
            "architecture": settings.gate.architecture,
            "pretrained": settings.gate.pretrained,
            "sha256": served.gate_sha256,
            "threshold": 0.4,
            "enabled": True,
        },
        "config_digest": settings.config_digest,
        "rollout_id": settings.rollout_id,
        "engine": served.engine,
        "ready": True,
    }
    assert served.files
    assert settings.gate.pretrained
    assert Identity(settings, served).report(ready=True) == expected
    not_loaded = Identity(settings).report(ready=False)
    assert not_loaded["weights"] | {"unverified": []} == {
        "sha256": None, "expected_sha256": DIGEST, "files": {}, "unverified": [], "verified": False
    }  # fmt: skip
    assert not_loaded["gate"]["sha256"] == settings.gate.sha256
    own = make_settings(tmp_path, gate={"weights_url": "https://x/gate.safetensors", "threshold": 0.0})
    gate = Identity(own).report(ready=False)["gate"]
    assert (gate["pretrained"], gate["enabled"]) == (None, False)


def test_the_lineage_names_all_that_decides(tmp_path: Path) -> None:
    served = FakePipeline().identity
    settings = make_settings(tmp_path)
    assert Identity(settings, served).lineage() == {
        "model": settings.model.name,
        "version": settings.model.version,
        "weights_sha256": DIGEST,
        "gate_sha256": served.gate_sha256,
        "threshold": settings.gate.threshold,
        "engine": served.engine,
    }


@pytest.mark.parametrize("missing", ["checkpoint", "encoder_classes.npy", "species_map.csv", "gate weights"])
def test_one_file_without_a_digest_makes_all_unverified(tmp_path: Path, missing: str) -> None:
    given = copy.deepcopy(VERIFIED)
    if missing == "checkpoint":
        del given["model"]["sha256"]
    elif missing == "gate weights":
        del given["gate"]["sha256"]
    else:
        del given["model"]["files"][missing]
    weights = Identity(make_settings(tmp_path, **given), FakePipeline().identity).report(ready=True)["weights"]
    assert (weights["verified"], weights["unverified"]) == (False, [missing])


def test_the_configuration_of_a_gate_of_ones_own_needs_a_digest_too(tmp_path: Path) -> None:
    gate = VERIFIED["gate"] | {"weights_url": "https://x/gate.safetensors", "config_url": "https://x/gate.json"}

    def weights(**more: str) -> dict[str, Any]:
        settings = make_settings(tmp_path, model=VERIFIED["model"], gate=gate | more)
        found: dict[str, Any] = Identity(settings, FakePipeline().identity).report(ready=True)["weights"]
        return found

    assert (weights()["verified"], weights()["unverified"]) == (False, ["gate config"])
    assert weights(config_sha256="ef" * 32)["verified"]


def test_before_loading_there_is_no_digest_and_no_metric(tmp_path: Path) -> None:
    identity = Identity(make_settings(tmp_path))
    assert "X-Weights-SHA256" not in identity.headers()
    assert (identity.weights_sha256, identity.engine, identity.metric_labels()) == (None, None, None)


def test_header_values_are_ascii(tmp_path: Path) -> None:
    identity = Identity(make_settings(tmp_path, model={"name": "кит"}))
    assert identity.headers()["X-Model-Name"] == "\\u043a\\u0438\\u0442"
