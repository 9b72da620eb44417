"""Counts of feedback: by model version and species, bounded, whatever clients send."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cetacean_inference.monitoring.feedback import MOST_VERSIONS, FeedbackCounts, Judged, Outcomes
from cetacean_inference.monitoring.feedback_metrics import FeedbackCollector
from cetacean_inference.monitoring.species_names import OTHER, SpeciesNames
from cetacean_registry.figures import MAX_SPECIES


def judged(**given: Any) -> Judged:
    values: dict[str, Any] = {"model_version": "1.0.0", "species": "beluga", "species_correct": True}
    return Judged(**values | {"individual_correct": None} | given)


def counts_of(*given: Judged, served: str = "1.0.0") -> FeedbackCounts:
    counts = FeedbackCounts(served)
    for one in given:
        counts.count(one)
    return counts


def samples(counts: FeedbackCounts) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(FeedbackCollector(counts))
    return {
        (sample.name.removeprefix("cetacean_inference_feedback_"), *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_without_feedback_nothing_is_counted() -> None:
    counts = counts_of()
    assert counts.report() == {"received": 0, "models": []}
    assert samples(counts) == {("received_total",): 0.0}


def test_feedback_is_counted_by_version_and_by_the_true_species() -> None:
    counts = counts_of(
        judged(),
        judged(species_correct=False),
        judged(species="orca", individual_correct=True),
        judged(species="orca", individual_correct=False),
        judged(model_version="0.9.0", species_correct=False, individual_correct=False),
    )
    assert counts.report() == {
        "received": 5,
        "models": [
            {
                "model_version": "0.9.0",
                "species_correct": 0,
                "species_wrong": 1,
                "individual_correct": 0,
                "individual_wrong": 1,
                "by_species": [{"name": "beluga", "correct": 0, "wrong": 1}],
            },
            {
                "model_version": "1.0.0",
                "species_correct": 3,
                "species_wrong": 1,
                "individual_correct": 1,
                "individual_wrong": 1,
                "by_species": [
                    {"name": "beluga", "correct": 1, "wrong": 1},
                    {"name": "orca", "correct": 2, "wrong": 0},
                ],
            },
        ],
    }


def test_the_metrics_are_the_same_counts() -> None:
    counts = counts_of(judged(individual_correct=True), judged(species_correct=False), judged(model_version="2.0.0"))
    assert samples(counts) == {
        ("received_total",): 3.0,
        ("total", "1.0.0", "beluga", "correct"): 1.0,
        ("total", "1.0.0", "beluga", "wrong"): 1.0,
        ("total", "2.0.0", "beluga", "correct"): 1.0,
        ("total", "2.0.0", "beluga", "wrong"): 0.0,
        ("individuals_total", "1.0.0", "correct"): 1.0,
        ("individuals_total", "1.0.0", "wrong"): 0.0,
        ("individuals_total", "2.0.0", "correct"): 0.0,
        ("individuals_total", "2.0.0", "wrong"): 0.0,
    }


def test_more_versions_than_the_bound_are_counted_as_other_and_the_served_one_keeps_its_name() -> None:
    invented = [judged(model_version=f"9.0.{number}") for number in range(MOST_VERSIONS + 3)]
    counts = counts_of(*invented, judged(model_version="1.0.0"), served="1.0.0")
    versions = {one["model_version"]: one["species_correct"] for one in counts.report()["models"]}
    assert len(versions) == MOST_VERSIONS + 1
    assert versions["1.0.0"] == 1
    assert versions[OTHER] == 4
    assert sum(versions.values()) == counts.report()["received"]


def test_more_species_than_the_bound_are_counted_as_other() -> None:
    counts = counts_of(*(judged(species=f"species {number}") for number in range(MAX_SPECIES + 2)), judged())
    (model,) = counts.report()["models"]
    species = {one["name"]: one["correct"] for one in model["by_species"]}
    assert len(species) == MAX_SPECIES + 1
    assert species[OTHER] == 3
    assert model["species_correct"] == MAX_SPECIES + 3


LONG = ["x" * 1000, "кит" * 40, "x" + "кит" * 40, "\N{SPOUTING WHALE}" * 64]


@pytest.mark.parametrize("name", LONG)
def test_versions_are_cut_to_the_bound_in_bytes(name: str) -> None:
    *_, model = counts_of(judged(model_version=name)).report()["models"]
    assert name.startswith(model["model_version"])
    assert 60 <= len(model["model_version"].encode()) <= 64


@pytest.mark.parametrize("name", [*LONG, "Белокрылая морская свинья охотоморская"])
def test_a_species_has_the_name_that_the_figures_of_its_answers_have(name: str) -> None:
    (model,) = counts_of(judged(species=name)).report()["models"]
    (species,) = model["by_species"]
    assert species["name"] == SpeciesNames().bounded(name)
    assert name.startswith(species["name"])
    assert len(species["name"]) == min(64, len(name)) or 125 <= len(species["name"].encode()) <= 128


def test_half_of_a_surrogate_pair_in_a_name_is_replaced() -> None:
    (model,) = counts_of(judged(species="orca\ud83d")).report()["models"]
    assert model["by_species"][0]["name"] == "orca?"


def test_right_and_wrong_answers_add_up() -> None:
    found = Outcomes()
    for correct in (True, False, False, True, True):
        found.count(correct=correct)
    assert found == Outcomes(correct=3, wrong=2)


def test_a_name_that_is_no_unicode_is_counted_under_what_can_be_written() -> None:
    assert list(counts_of(judged(species="\ud800orca")).versions["1.0.0"].by_species) == ["?orca"]
