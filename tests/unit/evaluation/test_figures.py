"""Figures against those computed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scored import UNSURE, scored

from cetacean_evaluation.errors import EvaluationError
from cetacean_evaluation.figures import Scored, accepted, compute_snapshot, per_species
from cetacean_registry.metrics import MetricsSnapshot

SPLIT = (
    scored(0.9, "orca", "a", latency_ms=10),
    scored(0.8, "orca", "b", latency_ms=20),
    scored(0.5, "beluga", "z", latency_ms=30),  # nobody the model knows
    scored(0.4, "beluga", "c", latency_ms=40),  # the gate rejects it
    scored(0.9, "beluga", "b", ranking=UNSURE, latency_ms=50),  # nobody is likely enough
    scored(0.6, latency_ms=60),  # accepted by mistake
    scored(0.7, ranking=UNSURE, latency_ms=70),  # passes the gate, then nobody is likely enough
    scored(0.1, latency_ms=80),
)


def snapshot(split: Sequence[Scored] = SPLIT, threshold: float = 0.5) -> MetricsSnapshot:
    return compute_snapshot(
        split,
        threshold=threshold,
        model_version="1.2.3",
        manifest_path="data/manifest.csv",
        generated_at="2026-11-24T12:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("score", "probability", "expected"),
    [(0.5, 0.05, True), (0.4999, 0.9, False), (0.9, 0.0499, False), (0.5, 0.9, True)],
)
def test_a_picture_is_accepted_exactly_if_the_service_accepts_it(
    score: float, probability: float, expected: bool
) -> None:
    assert accepted(scored(score, ranking=(("a", "orca", probability),)), 0.5) is expected


def test_the_gates_figures() -> None:
    gate = snapshot().anti_fraud
    assert gate
    assert (gate.n_positive, gate.n_negative) == (5, 3)
    assert (gate.tp, gate.fn, gate.fp, gate.tn) == (3, 2, 1, 2)
    assert gate.tpr == 0.6
    assert gate.tnr == 0.6667
    assert gate.precision == 0.75
    assert gate.f1 == 0.6667  # 2 * 3 / (2 * 3 + 1 + 2)
    # Of the 15 pairs of a cetacean and another picture, 0.9 wins 3 twice, 0.8 3, 0.5 and 0.4 one each: 11.
    assert gate.roc_auc == round(11 / 15, 4)


def test_identification_counts_every_cetacean_also_one_that_the_gate_rejects() -> None:
    found = snapshot().identification
    assert found
    assert found.n_samples == 5
    assert found.top1_accuracy == 0.2  # a
    assert found.top5_accuracy == 0.8  # a, b, c, b
    assert found.n_unique_individuals == 4


def test_the_species_is_that_of_the_likeliest_individual() -> None:
    found = snapshot().identification
    assert found
    assert (found.n_species_samples, found.species_accuracy) == (5, 0.4), "orca, orca; a is an orca, so no beluga"
    without = [scored(0.9, "orca", "a"), scored(0.9, "", "a")]
    identified = snapshot(without).identification
    assert identified
    assert identified.n_species_samples == 1


def test_top_probabilities_are_those_of_the_cetaceans_that_the_gate_accepts() -> None:
    made = snapshot()
    assert made.identification
    assert made.identification.top_probability_mean == 0.685, "three of 0.9, and 0.04: it passes the gate"
    assert made.reference
    assert {number: count for number, count in enumerate(made.reference.top_probability) if count} == {0: 1, 18: 3}
    assert sum(snapshot(threshold=0.95).metrics.reference.top_probability) == 0  # type: ignore[union-attr]
    nobody = snapshot(threshold=0.95).identification
    assert nobody
    assert nobody.top_probability_mean is None


def test_histograms_have_20_bins_and_the_last_includes_1() -> None:
    made = snapshot([scored(score, "orca") for score in (0.0, 0.0499, 0.05, 0.5, 0.95, 1.0)])
    assert made.reference
    counts = {number: count for number, count in enumerate(made.reference.cetacean_score) if count}
    assert (len(made.reference.cetacean_score), counts) == (20, {0: 2, 1: 1, 10: 1, 19: 2})


def test_figures_by_species_are_written_for_the_species_with_the_most_pictures() -> None:
    beluga, orca = snapshot().by_species or ()
    assert (beluga.species, beluga.n_samples, beluga.species_accuracy) == ("beluga", 3, 0.0)
    assert (orca.species, orca.n_samples, orca.species_accuracy) == ("orca", 2, 1.0)
    many = [scored(0.9, f"s{number:03}") for number in range(80)] + [scored(0.9, "s079")]
    kept = [one.species for one in snapshot(many).by_species or ()]
    assert kept == [*(f"s{number:03}" for number in range(63)), "s079"]


def test_what_the_model_names_is_counted_over_the_pictures_that_the_gate_accepts() -> None:
    beluga, orca = snapshot().by_species or ()
    assert (orca.n_named, orca.named_top_probability_mean) == (4, 0.685), "belugas that it takes for orcas are counted"
    assert (beluga.n_named, beluga.named_top_probability_mean) == (0, None)
    assert [one.n_named for one in snapshot(threshold=0.95).by_species or ()] == [0, 0]


def test_only_the_first_five_ranks_count() -> None:
    ranking = tuple((name, "orca", 0.1) for name in "abcdef")
    found = snapshot([scored(0.9, "orca", "f", ranking=ranking), scored(0.9, "orca", "e", ranking=ranking)])
    assert found.identification
    assert found.identification.top5_accuracy == 0.5


def test_the_drift_baseline_is_over_cetaceans_with_the_population_deviation() -> None:
    made = snapshot([scored(0.5, "orca"), scored(0.9, "orca"), scored(0.1)])
    assert made.cetacean_score_mean == 0.7
    assert made.cetacean_score_std == 0.2  # the sample's would be 0.2828


def test_latency_percentiles() -> None:
    speed = snapshot().performance
    assert speed
    assert (speed.n_samples, speed.latency_mean_ms, speed.latency_p50_ms) == (8, 45.0, 45.0)
    assert (speed.latency_p95_ms, speed.latency_p99_ms) == (76.5, 79.3)


def test_a_figure_without_pictures_is_null() -> None:
    made = snapshot([scored(0.9), scored(0.2)])
    assert made.anti_fraud
    assert (made.anti_fraud.tpr, made.anti_fraud.roc_auc, made.anti_fraud.tnr) == (None, None, 0.5)
    assert (made.cetacean_score_mean, made.cetacean_score_std) == (None, None)
    assert made.identification
    assert made.identification.top1_accuracy is None
    assert made.metrics.tpr is None


def test_no_pictures_are_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"data/manifest\.csv: expected at least one picture, got none"):
        snapshot([])


def test_the_file_has_the_contracts_keys_and_survives_being_read() -> None:
    made = snapshot()
    content = json.loads(made.to_json())
    assert {"generated_at", "manifest_path", "sample_size", "model_version", "clarity"} <= set(content)
    assert set(content["anti_fraud"]) == {
        *("n_positive", "n_negative", "tp", "fp", "tn", "fn"),
        *("tpr", "tnr", "precision", "f1", "roc_auc"),
    }
    assert set(content["identification"]) == {
        *("n_samples", "top1_accuracy", "top5_accuracy", "n_unique_individuals"),
        *("n_species_samples", "species_accuracy", "top_probability_mean"),
    }
    assert set(content["by_species"][0]) == {
        "species", "n_samples", "species_accuracy", "n_named", "named_top_probability_mean",
    }  # fmt: skip
    assert set(content["reference"]) == {"cetacean_score", "top_probability"}
    assert set(content["performance"]) == {
        "n_samples",
        *(f"latency_{name}_ms" for name in ("p50", "p95", "p99", "mean")),
    }
    assert MetricsSnapshot.parse(made.to_json()) == made
    assert made.metrics.evaluation_set == "data/manifest.csv"


def test_a_split_and_weights_can_be_named() -> None:
    made = compute_snapshot(
        SPLIT,
        threshold=0.5,
        model_version="1.0.0",
        manifest_path="m.csv",
        generated_at="now",
        evaluation_set="drawn",
        weights_sha256="0" * 64,
    )
    assert made.metrics.evaluation_set == "drawn"
    assert json.loads(made.to_json())["weights_sha256"] == "0" * 64


def test_each_species_has_its_own_figures() -> None:
    beluga, orca = per_species(SPLIT, threshold=0.5)
    assert (beluga.species, beluga.n_samples, beluga.tpr) == ("beluga", 3, 0.3333)
    assert (beluga.top1_accuracy, beluga.species_accuracy) == (0.0, 0.0)
    assert beluga.cetacean_score_mean == 0.6
    assert (orca.species, orca.n_samples, orca.tpr, orca.top1_accuracy) == ("orca", 2, 1.0, 0.5)
    assert orca.species_accuracy == 1.0


SCORES = st.floats(0, 1, allow_nan=False)
SPLITS = st.lists(
    st.builds(
        lambda score, cetacean, probability: scored(
            score, "orca" if cetacean else None, "a", ranking=(("a", "orca", probability),)
        ),
        SCORES,
        st.booleans(),
        SCORES,
    ),
    min_size=1,
    max_size=30,
)


@given(split=SPLITS, threshold=SCORES, higher=SCORES)
def test_counts_add_up_and_a_higher_threshold_accepts_no_more(
    split: list[Scored], threshold: float, higher: float
) -> None:
    low, high = (snapshot(split, bound).anti_fraud for bound in sorted((threshold, higher)))
    assert low
    assert high
    assert low.tp + low.fn + low.fp + low.tn == len(split)
    assert high.tp <= low.tp
    assert high.fp <= low.fp
    assert low.roc_auc == high.roc_auc
