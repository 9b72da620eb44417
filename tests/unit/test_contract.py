"""The contract of docs/architecture.md: operator and inference service share no code for it, so each is compared here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support.inference_world import make_settings
from support.operator_world import World, entry, manifest

from cetacean_inference import errors
from cetacean_inference.http.app import create_app
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import SignatureSettings, load_settings
from cetacean_inference.weights import signature
from cetacean_operator.api import names
from cetacean_operator.decisions.identity import GATE_FIELDS, MODEL_FIELDS

PAGE = (Path(__file__).resolve().parents[2] / "docs/architecture.md").read_text(encoding="utf-8")
ENTRY = entry("first", backbone="b4", inputSize=512, embeddingSize=64, numClassesHead=9, numClassesActive=8)
ENTRY["signatureUrl"] = "https://example.org/first.sig"
ENTRY["files"] = {"encoder_classes.npy": "d" * 64, "species_map.csv": "e" * 64}
GATE = {
    "architecture": "ViT-B-16",
    "pretrained": "tag",
    "configURL": "https://example.org/gate.json",
    "configSHA256": "d" * 64,
    "weightsURL": "https://example.org/gate.pt",
    "sha256": "c" * 64,
}
SPEC: dict[str, Any] = {
    "serving": {
        "weightsCache": {"sizeLimit": "2Gi"},
        "signature": {
            "require": False,
            "keys": [{"configMapKeyRef": {"name": "signers", "key": "release.pub"}}],
            "certificates": [{"configMapKeyRef": {"name": "signers", "key": "root.pem"}}],
        },
    },
    "antiFraud": {"threshold": 0.5, "calibratedAt": "2025-12-15", "model": GATE},
}


@pytest.fixture
def world() -> World:
    """A resource with every field that becomes a variable of its pods."""
    made = World(manifest(ENTRY, **SPEC))
    made.settle()
    return made


def variables(world: World, containers: str = "containers") -> dict[str, str]:
    assert world.deployment is not None
    (container,) = world.deployment["spec"]["template"]["spec"][containers]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_the_operator_knows_each_reason_that_ends_a_container() -> None:
    reasons = {kind.__name__ for kind in errors.FatalError.__subclasses__() if kind.__module__ == errors.__name__}
    assert reasons == names.TERMINATION_REASONS


def test_each_variable_of_a_pod_is_a_setting_of_the_service(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("CETACEAN_")]:
        monkeypatch.delenv(name)
    for name, value in variables(world).items():
        monkeypatch.setenv(name, value)
    settings = load_settings(config_dir=tmp_path)
    assert settings.model.model_fields_set == set(MODEL_FIELDS), "ENTRY has every field"
    assert settings.model.files == ENTRY["files"]
    # A revision is of a pretrained tag only, and GATE has weights of its own.
    expected = {"threshold", "calibrated_at", *GATE_FIELDS} - {"revision"}
    assert settings.gate.model_fields_set == expected, "GATE has every other field"
    top = {name.removeprefix("CETACEAN_").partition("__")[0].lower() for name in variables(world)}
    assert top <= settings.model_fields_set, "an unknown name on the top level would be ignored"


def test_the_container_that_fetches_alone_has_settings_of_the_signature(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = variables(world, "initContainers")
    more = {name: value for name, value in found.items() if name not in variables(world)}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(config_dir=tmp_path).signature
    assert settings.model_fields_set == set(SignatureSettings.model_fields), "SPEC has every field"
    assert len(more) == len(SignatureSettings.model_fields)
    assert settings.keys == (Path("/etc/cetacean/signature/keys/signers/release.pub"),)
    assert set(more) <= set(re.findall(r"`(\w+)`", PAGE))


def test_a_report_about_the_signature_begins_with_a_name_that_the_operator_knows() -> None:
    reasons = {kind.__name__ for kind in signature.UNVERIFIED}
    assert reasons == set(names.SIGNATURE_REASONS)
    assert signature.REPORT == names.SIGNATURE_VERIFIED


def test_the_service_reads_the_monitoring_file_of_the_operator(world: World) -> None:
    content = json.loads(world.children["ConfigMap", "whales-monitoring"]["data"][names.MONITORING_FILE])
    assert Monitoring.model_validate(content).model_fields_set == set(content)


def test_a_route_leads_clients_to_every_endpoint_but_those_of_the_operator_of_prometheus_and_of_other_pods(
    tmp_path: Path,
) -> None:
    endpoints = set(create_app(Service(make_settings(tmp_path))).openapi()["paths"])
    routed = {
        path for path in endpoints for prefix in names.CLIENT_PATHS if path == prefix or path.startswith(f"{prefix}/")
    }
    internal = {"/metrics", "/v1/identity", "/v1/drift-stats", "/v1/feedback-stats", "/v1/shadow-stats"}
    internal |= {"/v1/predict-shadow", "/v1/shadow-disagreements", "/v1/shadow-pictures/{sha256}"}
    assert endpoints - routed == internal


def test_the_page_names_each_reason_and_each_variable(world: World) -> None:
    written = set(re.findall(r"`(\w+)`", PAGE))
    assert written >= names.TERMINATION_REASONS
    for name in variables(world):
        assert {name, "__" + name.partition("__")[2]} & written, name
