"""The identity: the same model, weights and threshold for every reader."""

from __future__ import annotations

import copy
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
