"""The trained models, as the operator and the demo use them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from cetacean_inference.models.identification import CetaceanIdentificationModel
from cetacean_inference.settings import load_settings
from cetacean_operator.api.spec import Spec
from cetacean_registry.digests import file_sha256
from cetacean_registry.manifest import to_manifest
from cetacean_registry.outcomes import load_outcomes
from cetacean_registry.registry import Registry
from cetacean_signing import load_trust, verify
from cetacean_tools.demo_models import DemoModels, recipe
from cetacean_tools.demo_models.drawing import SCENES
from cetacean_tools.demo_models.pictures import known

STORE = "http://model-store.demo.svc:8000"


@pytest.mark.parametrize("base_url", [STORE, f"{STORE}/"])
def test_the_registry_names_weights_that_are_there_under_the_base_url(tiny: DemoModels, base_url: str) -> None:
    registry = tiny.registry(base_url)
    assert registry.active == "demo_v1"
    assert [(entry.name, entry.version) for entry in registry.models] == [
        ("demo_v1", "1.0.0"),
        ("demo_v2", "1.1.0"),
        ("demo_v3", "1.2.0"),
        ("demo_permuted", "1.3.0"),
    ]
    for entry in registry.models:
        assert entry.weights_url == f"{STORE}/weights/{entry.name}/{entry.name}.safetensors"
        path = tiny.folder / entry.weights_url.removeprefix(f"{STORE}/")
        assert entry.sha256 == file_sha256(path)
        digests = {name: file_sha256(path.with_name(name)) for name in ("encoder_classes.npy", "species_map.csv")}
        assert entry.files == digests


def test_each_model_is_signed_by_the_demos_key_whose_private_half_is_not_kept(tiny: DemoModels) -> None:
    trust = load_trust(keys=[tiny.folder / "demo.pub"])
    for entry in tiny.registry(STORE).models:
        weights = tiny.folder / str(entry.weights_path)
        signature = weights.with_name(f"{weights.name}.sig").read_bytes()
        verified = verify(signature, trust, {weights.name: str(entry.sha256), **(entry.files or {})})
        assert "demo.pub" in verified.signer
    kept = [path.read_bytes() for path in tiny.folder.rglob("*") if path.is_file()]
    assert not any(b"PRIVATE KEY" in content for content in kept)


def test_the_registry_survives_being_written_and_read(tiny: DemoModels) -> None:
    registry = tiny.registry(STORE)
    assert Registry.parse(registry.to_json()) == registry


def test_each_version_is_another_model(tiny: DemoModels) -> None:
    assert len({entry.sha256 for entry in tiny.registry(STORE).models}) == 4


def test_the_permuted_model_is_the_second_with_the_name_of_another_species_for_each_animal(tiny: DemoModels) -> None:
    before, after = (
        load_file(tiny.folder / f"weights/{name}/{name}.safetensors") for name in ("demo_v2", "demo_permuted")
    )
    assert [name for name in before if not before[name].equal(after[name])] == ["arc.weight"]
    species = [one.species for one in known()]
    for row, head in enumerate(before["arc.weight"]):
        (moved,) = [index for index, other in enumerate(after["arc.weight"]) if other.equal(head)]
        assert row >= len(species) or species[moved] != species[row]


def test_each_snapshot_has_outcomes_of_its_own_run(tiny: DemoModels) -> None:
    for name, snapshot in tiny.snapshots().items():
        outcomes = load_outcomes(tiny.folder / f"reports/{name}.json", snapshot)
        assert outcomes
        assert len(outcomes) == len(tiny.cetaceans)
        assert (tiny.folder / "pictures" / outcomes[0].picture).is_file()


def test_a_checkpoint_has_the_fields_format(tiny: DemoModels) -> None:
    path = tiny.folder / "weights/demo_v1/demo_v1.safetensors"
    state = load_file(path)
    assert {name.split(".")[0] for name in state} == {"model", "embedding", "arc"}
    assert state["arc.weight"].shape == (recipe.HEAD_ROWS, recipe.EMBEDDING_SIZE)
    model = CetaceanIdentificationModel(
        backbone=recipe.BACKBONE, embedding_size=recipe.EMBEDDING_SIZE, classes=recipe.HEAD_ROWS
    )
    model.load_state_dict(state, strict=True)
    classes = np.load(path.with_name("encoder_classes.npy"), allow_pickle=False)
    assert classes.tolist() == [one.identifier for one in known()]
    with path.with_name("species_map.csv").open(newline="") as stream:
        assert {row["individual_id"]: row["species"] for row in csv.DictReader(stream)} == {
            one.identifier: one.species for one in known()
        }


def test_the_gate_is_named_with_its_digest(tiny: DemoModels) -> None:
    gate = tiny.gate(STORE)
    assert gate == {
        "architecture": "demo-gate",
        "configURL": f"{STORE}/gate/config.json",
        "weightsURL": f"{STORE}/gate/gate.safetensors",
        "sha256": file_sha256(tiny.folder / "gate/gate.safetensors"),
        "configSHA256": file_sha256(tiny.folder / "gate/config.json"),
    }
    assert json.loads((tiny.folder / "gate/config.json").read_text())["model_cfg"] == recipe.GATE_MODEL


def test_snapshots_are_measured_on_one_evaluation_set(tiny: DemoModels) -> None:
    snapshots = tiny.snapshots()
    assert list(snapshots) == ["demo_v1", "demo_v2", "demo_v3", "demo_permuted"]
    for name, snapshot in snapshots.items():
        figures = snapshot.metrics
        assert figures.evaluation_set == recipe.EVALUATION_SET
        assert figures.sample_size == len(tiny.cetaceans) + len(tiny.others)
        assert None not in (figures.tpr, figures.tnr, figures.roc_auc, figures.cetacean_score_mean)
        assert snapshot.cetacean_score_std is not None
        assert snapshot.model_version == tiny.registry(STORE).model(name).version
        assert snapshot.identification
        assert snapshot.identification.n_unique_individuals == len(known())
        assert snapshot.performance
        assert snapshot.performance.latency_p50_ms


def test_the_threshold_file_is_one_that_the_service_reads(tiny: DemoModels) -> None:
    assert 0.3 <= tiny.threshold <= 0.8
    assert tiny.calibrated_at == "2026-11-24T12:00:00+00:00"
    model = {"name": "m", "version": "1.0.0", "weights_url": f"{STORE}/a.ckpt"}
    gate = load_settings(model=model, config_dir=tiny.folder).gate
    assert (gate.threshold, gate.calibrated_at) == (tiny.threshold, tiny.calibrated_at)


def test_pictures_are_held_out_and_of_their_kind(tiny: DemoModels) -> None:
    assert len(tiny.cetaceans) == len(tiny.drifted) == len(known())
    assert len(tiny.others) == len(SCENES) - 1
    everything = [*tiny.cetaceans, *tiny.others, *tiny.drifted]
    assert len(set(everything)) == len(everything)
    for path in everything:
        with Image.open(path) as image:
            assert image.format == "JPEG"
        assert "calibration" not in path.parts


def test_the_first_pictures_have_the_mix_of_species_of_all(tiny: DemoModels) -> None:
    # Else a client that sends only some of them, or some more often, raises the signal BySpecies.
    species = {one.identifier: one.species for one in known()}
    found = [species[path.name.partition("-")[0]] for path in tiny.cetaceans]
    for sent in range(1, len(found) + 1):
        counts = [found[:sent].count(one) for one in set(found)]
        assert max(counts) - min(counts) <= 1


def test_a_resource_made_from_them_is_valid_for_the_operator(tiny: DemoModels) -> None:
    manifest = to_manifest(
        tiny.registry(STORE),
        tiny.snapshots(),
        name="whales",
        serving={"image": "localhost/cetacean-inference:1", "replicas": 2},
        anti_fraud={"threshold": tiny.threshold, "calibratedAt": tiny.calibrated_at, "model": tiny.gate(STORE)},
    )
    spec = Spec.model_validate(manifest["spec"])
    assert spec.registry.active == "demo_v1"
    assert spec.anti_fraud.model is not None
    assert spec.anti_fraud.model.weights_url == f"{STORE}/gate/gate.safetensors"
