"""The identity: the same model, weights and threshold for every reader."""

from __future__ import annotations

from pathlib import Path

from support.inference_world import DIGEST, FakePipeline, make_settings

from cetacean_inference.serving.identity import Identity


def test_report_headers_lineage_and_labels_agree(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, model={"sha256": DIGEST}, gate={"threshold": 0.4})
    identity = Identity(settings, FakePipeline().identity)
    report, headers, lineage, labels = (
        identity.report(ready=True),
        identity.headers(),
        identity.lineage(),
        identity.metric_labels() or {},
    )
    assert report["weights"] == {"sha256": DIGEST, "expected_sha256": DIGEST, "verified": True}
    assert headers["X-Weights-SHA256"] == lineage["weights_sha256"] == labels["sha256"] == DIGEST
    assert report["model"]["version"] == headers["X-Model-Version"] == lineage["version"] == labels["version"]
    assert report["gate"]["threshold"] == lineage["threshold"] == 0.4
    assert headers["X-Gate-Threshold"] == labels["threshold"] == "0.4"


def test_before_loading_there_is_no_digest_and_no_metric(tmp_path: Path) -> None:
    identity = Identity(make_settings(tmp_path))
    assert "X-Weights-SHA256" not in identity.headers()
    assert (identity.weights_sha256, identity.engine, identity.metric_labels()) == (None, None, None)


def test_header_values_are_ascii(tmp_path: Path) -> None:
    identity = Identity(make_settings(tmp_path, model={"name": "кит"}))
    assert identity.headers()["X-Model-Name"] == "\\u043a\\u0438\\u0442"
