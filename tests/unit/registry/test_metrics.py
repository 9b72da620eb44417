"""Metrics snapshots: figures that contradict each other are refused, missing ones stay missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_registry.errors import RegistryError
from cetacean_registry.figures import IdentificationMetrics, ModelMetrics, ReferenceHistograms, SpeciesMetrics
from cetacean_registry.metrics import MetricsSnapshot, load_snapshots, snapshot_file
from cetacean_registry.registry import Registry

Json = dict[str, Any]


def parse(data: Json) -> MetricsSnapshot:
    return MetricsSnapshot.parse(json.dumps(data), source="reports/a.json")


def test_the_figures_of_promotion_and_drift(snapshot: Json) -> None:
    assert parse(snapshot).metrics == ModelMetrics(
        tpr=0.95,
        tnr=0.902,
        roc_auc=0.984,
        positives=100,
        negatives=102,
        cetacean_score_mean=0.93,
        sample_size=202,
        evaluation_set="data/test_split/manifest.csv",
        identification=IdentificationMetrics(samples=100, top1=0.22, top5=0.25),
    )


def test_the_figures_of_the_identification(snapshot: Json) -> None:
    snapshot["identification"] |= {"n_species_samples": 98, "species_accuracy": 0.71, "top_probability_mean": 0.4}
    snapshot["by_species"] = [{"species": "beluga", "n_samples": 40, "species_accuracy": 0.9, "n_named": 38}]
    snapshot["reference"] = {"cetacean_score": [0] * 19 + [100], "top_probability": [5] * 20}
    found = parse(snapshot).metrics
    assert found.identification == IdentificationMetrics(
        samples=100, top1=0.22, top5=0.25, species_samples=98, species_accuracy=0.71, top_probability_mean=0.4
    )
    assert found.by_species == (SpeciesMetrics(species="beluga", samples=40, species_accuracy=0.9, named=38),)
    assert found.reference == ReferenceHistograms(cetacean_score=(*[0] * 19, 100), top_probability=(5,) * 20)


def test_a_named_evaluation_set_goes_before_the_manifests_path(snapshot: Json) -> None:
    snapshot["evaluation_set"] = "split-2025"
    assert parse(snapshot).metrics.evaluation_set == "split-2025"


def test_a_missing_figure_stays_missing(snapshot: Json) -> None:
    del snapshot["cetacean_score_mean"]
    snapshot["anti_fraud"]["roc_auc"] = None
    metrics = parse(snapshot).metrics
    assert metrics.cetacean_score_mean is None
    assert metrics.roc_auc is None
    assert parse({}).metrics == ModelMetrics()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tp": 90}, "anti_fraud: tp + fn must be n_positive (100), got 95"),
        ({"tn": 80}, "anti_fraud: tn + fp must be n_negative (102), got 90"),
        ({"tpr": 0.9}, "anti_fraud: tpr must be 95/100 = 0.9500, got 0.9"),
        ({"tnr": 0.95}, "anti_fraud: tnr must be 92/102 = 0.9020, got 0.95"),
        ({"roc_auc": 1.2}, "anti_fraud.roc_auc: Input should be less than or equal to 1, got 1.2"),
        ({"fp": -1}, "anti_fraud.fp: Input should be greater than or equal to 0, got -1"),
        ({"fn": None}, "anti_fraud.fn: Input should be a valid integer, got None"),
    ],
    ids=str,
)
def test_contradictory_figures_are_rejected(snapshot: Json, change: Json, message: str) -> None:
    snapshot["anti_fraud"].update(change)
    with pytest.raises(RegistryError) as refused:
        parse(snapshot)
    assert str(refused.value) == f"reports/a.json: {message}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_size": 10**10}, "sample_size: Input should be less than or equal to 1000000000"),
        ({"manifest_path": "x" * 1025}, "manifest_path: String should have at most 1024 characters"),
        ({"evaluation_set": "x" * 1025}, "evaluation_set: String should have at most 1024 characters"),
        (
            {
                "anti_fraud": dict.fromkeys(("n_positive", "tp"), 10**10)
                | dict.fromkeys(("n_negative", "fp", "tn", "fn"), 0)
            },
            "anti_fraud.n_positive: Input should be less than or equal to 1000000000",
        ),
    ],
    ids=["pictures", "manifest", "set", "label"],
)
def test_figures_that_the_resource_cannot_hold_are_rejected_with_file_and_field(
    snapshot: Json, change: Json, message: str
) -> None:
    with pytest.raises(RegistryError) as refused:
        parse(snapshot | change)
    assert str(refused.value).startswith(f"reports/a.json: {message}")


SIZES = st.sampled_from([0, 1, 10**9, 10**9 + 1, 10**400, -1])
SHARES = st.sampled_from([None, 0.0, 0.5, 1.0, 1.5])
NAMES = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["x" * 64, "x" * 65, "x" * 1024, "x" * 1025]))
COUNTS = dict.fromkeys(("n_positive", "n_negative", "tp", "fp", "tn", "fn"), SIZES)
ANY_SNAPSHOT = st.fixed_dictionaries(
    {},
    optional={
        "manifest_path": NAMES,
        "evaluation_set": NAMES,
        "sample_size": st.none() | SIZES,
        "cetacean_score_mean": SHARES,
        "anti_fraud": st.none() | st.fixed_dictionaries(COUNTS | {"roc_auc": SHARES}),
        "identification": st.none()
        | st.fixed_dictionaries({"n_samples": SIZES, "n_species_samples": st.none() | SIZES, "top1_accuracy": SHARES}),
        "by_species": st.none()
        | st.lists(
            st.fixed_dictionaries({"species": NAMES, "n_samples": SIZES, "species_accuracy": SHARES}), max_size=2
        ),
        "reference": st.none()
        | st.fixed_dictionaries(
            dict.fromkeys(("cetacean_score", "top_probability"), st.lists(SIZES, min_size=20, max_size=20))
        ),
    },
)


@given(ANY_SNAPSHOT)
def test_a_snapshot_that_can_be_read_has_figures_that_the_resource_can_hold(content: Json) -> None:
    try:
        found = MetricsSnapshot.parse(json.dumps(content), source="a.json")
    except RegistryError:
        return
    ModelMetrics.model_validate_json(found.metrics.model_dump_json(by_alias=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"identification": {"n_samples": 9, "top1_accuracy": 0.5, "top5_accuracy": 0.4}},
            "identification: top1_accuracy must be at most top5_accuracy (0.4), got 0.5",
        ),
        (
            {"by_species": [{"species": s, "n_samples": 1, "species_accuracy": 1.0} for s in ("orca", "beluga") * 2]},
            "figures by species: each species must be there once, more than once: beluga, orca",
        ),
        (
            {"by_species": [{"species": str(n), "n_samples": 1, "species_accuracy": 1.0} for n in range(65)]},
            "by_species: Tuple should have at most 64 items after validation, not 65",
        ),
        (
            {"reference": {"cetacean_score": [0] * 19, "top_probability": [0] * 20}},
            "reference.cetacean_score: Tuple should have at least 20 items after validation, not 19",
        ),
    ],
    ids=["top-1 above top-5", "a species twice", "too many species", "another number of bins"],
)
def test_contradictory_figures_of_the_identification_are_rejected(snapshot: Json, change: Json, message: str) -> None:
    with pytest.raises(RegistryError) as refused:
        parse(snapshot | change)
    assert str(refused.value) == f"reports/a.json: {message}"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("NaN", "expected JSON with finite numbers"),
        ("Infinity", "expected JSON with finite numbers"),
        ("-0.1", "cetacean_score_mean: "),
        ("1.01", "cetacean_score_mean: "),
    ],
)
def test_a_mean_is_a_fraction(value: str, named: str) -> None:
    with pytest.raises(RegistryError, match=rf"^a\.json: {named}"):
        MetricsSnapshot.parse(f'{{"cetacean_score_mean": {value}}}', source="a.json")


def test_a_text_that_is_no_json_is_reported_with_line_and_column() -> None:
    with pytest.raises(RegistryError, match=r"^a\.json:2:1: expected JSON, "):
        MetricsSnapshot.parse('{"sample_size":\n}', source="a.json")


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300), st.integers(1, 300))
def test_rates_rounded_to_three_or_four_decimals_are_accepted(tp: int, tn: int, fn: int, fp: int) -> None:
    for digits in (3, 4):
        counts = {"n_positive": tp + fn, "n_negative": tn + fp, "tp": tp, "fp": fp, "tn": tn, "fn": fn}
        rates = {"tpr": round(tp / (tp + fn), digits), "tnr": round(tn / (tn + fp), digits)}
        assert parse({"anti_fraud": {**counts, **rates}}).metrics.tpr == rates["tpr"]


def test_a_snapshot_that_was_read_is_written_unchanged(snapshot: Json) -> None:
    snapshot["remark"] = "kept"
    assert json.loads(parse(snapshot).to_json()) == snapshot


def test_the_snapshots_that_models_name_are_read(tmp_path: Path, registry: Json, entry: Json, snapshot: Json) -> None:
    registry["models"] = [{**entry, "metrics_snapshot": "reports/a.json"}, {**entry, "name": "unmeasured"}]
    read = Registry.parse(json.dumps(registry))
    with pytest.raises(RegistryError, match=r"reports/a\.json: cannot be read"):
        load_snapshots(read, tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/a.json").write_text(json.dumps(snapshot))
    assert load_snapshots(read, tmp_path) == {"effb4_15k": parse(snapshot)}


@pytest.mark.parametrize("path", ["../a.json", "reports/../../a.json", "/etc/hostname", "out/a.json", "."])
def test_a_snapshot_lies_within_the_root(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(RegistryError, match=r"expected a (regular file|file within .*root)$"):
        MetricsSnapshot.load(snapshot_file(path, root))


@pytest.mark.parametrize("path", ["a\0b", "circle"])
def test_a_snapshot_whose_path_leads_nowhere_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(RegistryError, match="cannot be found"):
        MetricsSnapshot.load(snapshot_file(path, tmp_path))


def test_a_path_may_leave_a_folder_within_the_root(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert snapshot_file("models/../a.json", tmp_path) == tmp_path / "models/../a.json"
    assert snapshot_file(str(tmp_path / "a.json"), tmp_path) == tmp_path / "a.json"
