"""The identity of a rollout: its variables, its digests, and its model as a Deployment says it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from support.operator_world import model

from cetacean_operator.api.spec import AntiFraud, Model
from cetacean_operator.api.status import ModelRef
from cetacean_operator.decisions.identity import (
    changed_fields,
    definition,
    deployed_model,
    deployed_rollout,
    entry_id,
    label,
    reference,
    rollout_of,
    without_digest,
)
from cetacean_registry.digests import canonical_digest

FILES = {"species_map.csv": "b" * 64, "encoder_classes.npy": "c" * 64}
FULL: dict[str, Any] = {
    "backbone": "b4",
    "inputSize": 380,
    "embeddingSize": 256,
    "numClassesHead": 9,
    "numClassesActive": 8,
    "files": FILES,
    "signatureUrl": "https://example.org/first.sig",
}
OWN_GATE = {
    "architecture": "ViT-B-16",
    "configURL": "https://example.org/gate.json",
    "configSHA256": "d" * 64,
    "weightsURL": "https://example.org/gate.pt",
    "sha256": "e" * 64,
}
TAGGED_GATE = {"pretrained": "openai", "revision": "0123abc", "sha256": "f" * 64}


def fraud(gate: dict[str, Any] | None = None, **fields: Any) -> AntiFraud:
    return AntiFraud.model_validate({"model": gate, **fields})


# --- The rollout of a model under a configuration ---------------------------------------------------------------------


def test_the_variables_name_all_that_decides_the_answers_in_a_fixed_order() -> None:
    found = rollout_of(model("first", **FULL), fraud(OWN_GATE, threshold=1, calibratedAt="2025-12-15"))
    files = f'{{"encoder_classes.npy":"{"c" * 64}","species_map.csv":"{"b" * 64}"}}'
    assert list(found.env.items()) == [
        ("CETACEAN_MODEL__NAME", "first"),
        ("CETACEAN_MODEL__VERSION", "1.0.0"),
        ("CETACEAN_MODEL__ARCHITECTURE", "CetaceanIdentificationModel"),
        ("CETACEAN_MODEL__WEIGHTS_URL", "https://example.org/first.ckpt"),
        ("CETACEAN_MODEL__SHA256", "a" * 64),
        ("CETACEAN_MODEL__BACKBONE", "b4"),
        ("CETACEAN_MODEL__INPUT_SIZE", "380"),
        ("CETACEAN_MODEL__EMBEDDING_SIZE", "256"),
        ("CETACEAN_MODEL__NUM_CLASSES_HEAD", "9"),
        ("CETACEAN_MODEL__NUM_CLASSES_ACTIVE", "8"),
        ("CETACEAN_MODEL__FILES", files),
        ("CETACEAN_MODEL__SIGNATURE_URL", "https://example.org/first.sig"),
        ("CETACEAN_GATE__THRESHOLD", "1.0"),
        ("CETACEAN_GATE__CALIBRATED_AT", "2025-12-15"),
        ("CETACEAN_GATE__ARCHITECTURE", "ViT-B-16"),
        ("CETACEAN_GATE__CONFIG_URL", "https://example.org/gate.json"),
        ("CETACEAN_GATE__CONFIG_SHA256", "d" * 64),
        ("CETACEAN_GATE__WEIGHTS_URL", "https://example.org/gate.pt"),
        ("CETACEAN_GATE__SHA256", "e" * 64),
    ]


def test_a_pretrained_tag_of_the_gate_is_named_with_its_revision() -> None:
    env = rollout_of(model(), fraud(TAGGED_GATE)).env
    assert {key: value for key, value in env.items() if key.startswith("CETACEAN_GATE__")} == {
        "CETACEAN_GATE__THRESHOLD": "0.52",
        "CETACEAN_GATE__PRETRAINED": "openai",
        "CETACEAN_GATE__REVISION": "0123abc",
        "CETACEAN_GATE__SHA256": "f" * 64,
    }


@pytest.mark.parametrize(
    ("digit", "weights"), [("a", "a" * 64), (None, "unverified")], ids=["a digest", "no digest in the registry"]
)
def test_the_digests_of_a_rollout_are_those_of_its_weights_and_of_all_its_other_variables(
    digit: str | None, weights: str
) -> None:
    found = rollout_of(model("first", digit), AntiFraud())
    config = canonical_digest(
        {
            "CETACEAN_MODEL__NAME": "first",
            "CETACEAN_MODEL__VERSION": "1.0.0",
            "CETACEAN_MODEL__ARCHITECTURE": "CetaceanIdentificationModel",
            "CETACEAN_MODEL__WEIGHTS_URL": "https://example.org/first.ckpt",
            "CETACEAN_GATE__THRESHOLD": "0.52",
        }
    )
    assert (found.model, found.weights_digest, found.config_digest, found.id) == (
        model("first", digit),
        weights,
        config,
        canonical_digest([weights, config])[:10],
    )


def test_the_definition_is_the_digest_of_the_fields_in_the_registrys_file() -> None:
    """Anyone can compute it: docs/custom-resource.md says how."""
    one = model(inputSize=380, numClassesHead=9, files=FILES, notes="n", signatureUrl="https://example.org/s")
    fields = {
        "architecture": "CetaceanIdentificationModel",
        "files": FILES,
        "input_size": 380,
        "num_classes_head": 9,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert definition(one) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"digit": "b"}, ("sha256",)),
        ({"digit": None}, ("sha256",)),
        ({"inputSize": 380, "files": FILES}, ("inputSize", "files")),
        ({"name": "second", "inputSize": 380}, ()),
        ({"version": "2.0.0", "inputSize": 380}, ()),
        ({"notes": "n"}, ()),
    ],
    ids=str,
)
def test_two_models_of_one_name_differ_by_fields(changes: dict[str, Any], changed: tuple[str, ...]) -> None:
    assert changed_fields(model(**changes), model()) == changed


def test_two_models_without_a_digest_differ_by_their_address() -> None:
    moved = model(digit=None, weightsUrl="https://example.org/moved.ckpt")
    assert changed_fields(moved, model(digit=None)) == ("weightsUrl",)
    assert changed_fields(model(weightsUrl="https://example.org/moved.ckpt"), model()) == ()


def test_a_model_has_a_label_for_people_and_a_reference_with_the_digest_that_is_known() -> None:
    named, unnamed = model("first"), model("first", None)
    assert label(named) == "first 1.0.0"
    expected = ModelRef(name="first", version="1.0.0", digest="a" * 64, definition=definition(named))
    assert reference(named) == reference(named, "f" * 64) == expected
    assert reference(unnamed, "f" * 64) == expected.model_copy(update={"digest": "f" * 64})
    assert reference(unnamed) == expected.model_copy(update={"digest": None})


# --- A Deployment -----------------------------------------------------------------------------------------------------


def deployment(env: list[dict[str, Any]], *, name: str = "serve") -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "proxy"}, {"name": name, "env": env}]}}}}


def variables(found: Model) -> list[dict[str, Any]]:
    env = rollout_of(found, fraud(OWN_GATE)).env
    return [{"name": "NODE", "valueFrom": {}}, *({"name": key, "value": value} for key, value in env.items())]


@pytest.mark.parametrize("written", [model("first", **FULL), model("first", None)], ids=["all fields", "fewest"])
def test_a_deployment_says_all_fields_of_its_model_that_pods_get(written: Model) -> None:
    expected = written.model_copy(update={"metrics": None})
    assert deployed_model(deployment(variables(written))) == expected


def test_an_empty_variable_is_a_field_that_is_not_given() -> None:
    env = [*variables(model("first", None)), {"name": "CETACEAN_MODEL__SHA256", "value": ""}]
    assert deployed_model(deployment(env)) == model("first", None, metrics=None)


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        {"spec": None},
        {"spec": {}},
        {"spec": {"template": {}}},
        {"spec": {"template": {"spec": None}}},
        {"spec": {"template": {"spec": {}}}},
        deployment([]),
        deployment(variables(model()), name="other"),
        deployment([{"name": "CETACEAN_MODEL__NAME", "value": "first"}]),
        deployment([*variables(model()), {"name": "CETACEAN_MODEL__INPUT_SIZE", "value": "wide"}]),
        deployment([*variables(model()), {"name": "CETACEAN_MODEL__FILES", "value": "{"}]),
    ],
)
def test_a_deployment_without_a_whole_model_names_none(found: Any) -> None:
    assert deployed_model(found) is None


def annotated(annotations: Any) -> dict[str, Any]:
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


@pytest.mark.parametrize(
    ("found", "rollout"),
    [
        (annotated({"ecomarineai.org/rollout-id": "0123456789"}), "0123456789"),
        (annotated({"ecomarineai.org/rollout-id": ""}), None),
        (annotated({"team": "whales"}), None),
        (annotated(None), None),
        ({"spec": {"template": {"metadata": None}}}, None),
        ({"spec": {"template": {}}}, None),
        ({"spec": {"template": None}}, None),
        ({"spec": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_rollout_of_a_deployment_is_that_of_its_template(found: Any, rollout: str | None) -> None:
    assert deployed_rollout(found) == rollout


# --- What cannot be verified ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digit", "files", "gate", "expected"),
    [
        ("a", FILES, OWN_GATE, ()),
        ("a", FILES, TAGGED_GATE, ()),
        ("a", FILES, None, ("gate weights",)),
        ("a", FILES, OWN_GATE | {"configSHA256": None}, ("gate config",)),
        ("a", FILES, OWN_GATE | {"sha256": None}, ("gate weights",)),
        ("a", {"species_map.csv": "b" * 64}, OWN_GATE, ("encoder_classes.npy",)),
        ("a", {"encoder_classes.npy": "c" * 64}, OWN_GATE, ("species_map.csv",)),
        (None, FILES, OWN_GATE, ("checkpoint",)),
        (
            None,
            None,
            {"weightsURL": "https://example.org/w", "configURL": "https://example.org/c"},
            ("checkpoint", "encoder_classes.npy", "species_map.csv", "gate weights", "gate config"),
        ),
    ],
)
def test_each_file_without_a_digest_is_named(
    digit: str | None, files: dict[str, str] | None, gate: dict[str, Any] | None, expected: tuple[str, ...]
) -> None:
    assert without_digest(rollout_of(model("first", digit, files=files), fraud(gate))) == expected


def test_an_entry_is_identified_by_what_pods_read_of_it() -> None:
    found = entry_id(model("first"))
    assert len(found) == 10
    assert entry_id(model("first", notes="new", metrics=None)) == found
    others = [model("second"), model("first", "b"), model("first", version="1.0.1"), model("first", **FULL)]
    assert len({found, *map(entry_id, others)}) == 5
