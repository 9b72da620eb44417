"""The gate on the identification's figures: the right individual, the right species, each species."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cetacean_registry.figures import ModelMetrics
from cetacean_registry.gate import GateVerdict, judge
from cetacean_registry.intervals import pictures_more_than
from cetacean_registry.policy import GatePolicy

Json = dict[str, Any]
SPECIES = {"beluga": (40, 0.9), "orca": (40, 0.8), "minke": (4, 1.0)}


def metrics(*, species: dict[str, tuple[int, float]] | None = SPECIES, **identification: Any) -> ModelMetrics:
    """Figures of a good model; `identification` changes those of the identification."""
    figures = {
        "samples": 100,
        "top1": 0.7,
        "top5": 1.0,
        "speciesSamples": 100,
        "speciesAccuracy": 0.9,
        "topProbabilityMean": 0.75,
    }
    content: Json = {
        "tpr": 0.95,
        "tnr": 0.95,
        "rocAuc": 0.98,
        "positives": 100,
        "negatives": 100,
        "sampleSize": 200,
        "evaluationSet": "split",
        "identification": figures | identification,
    }
    if species is not None:
        content["bySpecies"] = [
            {"species": name, "samples": samples, "speciesAccuracy": share}
            for name, (samples, share) in species.items()
        ]
    return ModelMetrics.model_validate(content)


OLD = ModelMetrics.model_validate(
    metrics().model_dump(by_alias=True) | {"identification": None, "bySpecies": None, "reference": None}
)
"""As snapshots were before they had figures of the identification."""


def verdict(own: ModelMetrics, theirs: ModelMetrics | None = None, **policy: Any) -> GateVerdict:
    serving = None if theirs is None else "old"
    return judge(
        candidate="new",
        metrics=own,
        policy=GatePolicy.model_validate(policy),
        serving=serving,
        serving_metrics=theirs,
    )


def failed(found: GateVerdict) -> list[str]:
    return [finding.text for finding in found.findings if not finding.passed]


def test_absent_bounds_ask_for_nothing() -> None:
    assert verdict(OLD).passed
    assert verdict(OLD, OLD).passed
    assert verdict(OLD, metrics()).passed
    assert verdict(metrics(), OLD).passed
    assert verdict(metrics(top1=0.0)).passed


@pytest.mark.parametrize(
    ("policy", "own", "text"),
    [
        ({"minTop1": 0.5}, metrics(top1=0.49), "top-1 0.4900 is below 0.5000 (minTop1)"),
        (
            {"minSpeciesAccuracy": 0.8},
            metrics(speciesAccuracy=0.7),
            "species accuracy 0.7000 is below 0.8000 (minSpeciesAccuracy)",
        ),
        (
            {"minTop1": 0.5},
            OLD,
            (
                "top-1 is missing, at least 0.5000 is needed (minTop1); scripts/compute_metrics.py computes it on pictures "
                "with an individual_id"
            ),
        ),
        (
            {"minTop1": 0.5},
            metrics(samples=0, top1=None, top5=None),
            (
                "top-1 is missing, at least 0.5000 is needed (minTop1); scripts/compute_metrics.py computes it on pictures "
                "with an individual_id"
            ),
        ),
        (
            {"minTop1": 0.5},
            metrics(samples=0, top1=1.0, top5=1.0),
            (
                "top-1 is of no pictures, so it is missing, at least 0.5000 is needed (minTop1); "
                "scripts/compute_metrics.py computes it on pictures with an individual_id"
            ),
        ),
        (
            {"minSpeciesAccuracy": 0.8},
            OLD,
            (
                "species accuracy is missing, at least 0.8000 is needed (minSpeciesAccuracy); scripts/compute_metrics.py "
                "computes it on pictures with a species"
            ),
        ),
    ],
)
def test_a_minimum_refuses_a_low_and_a_missing_figure(policy: Json, own: ModelMetrics, text: str) -> None:
    assert failed(verdict(own, **policy)) == [text]


def test_figures_on_their_minimum_pass() -> None:
    found = verdict(metrics(), minTop1=0.7, minSpeciesAccuracy=0.9)
    assert found.passed
    assert "top-1 0.7000 is at least 0.7000 (minTop1)" in found.message
    assert "species accuracy 0.9000 is at least 0.9000 (minSpeciesAccuracy)" in found.message


def test_a_model_that_names_the_wrong_whale_with_confidence_is_called_confidently_wrong() -> None:
    """All figures of the anti-fraud gate are those of the serving model."""
    own = metrics(top1=0.01, top5=0.05, speciesAccuracy=0.02, topProbabilityMean=0.93)
    assert verdict(own, OLD).passed, "the playbook's figures do not show it"
    wrong = ", confidently wrong: its mean top probability is 0.9300"
    assert failed(verdict(own, minTop1=0.5)) == [f"top-1 0.0100 is below 0.5000 (minTop1){wrong}"]
    assert failed(verdict(own, metrics())) == [
        f"top-1 0.0100 is more than 0.0200 below old's 0.7000 (maxRegression){wrong}",
        "species accuracy 0.0200 is more than 0.0200 below old's 0.9000 (maxRegression)",
    ]


def test_a_model_that_is_half_sure_and_half_as_often_right_is_confidently_wrong() -> None:
    (text,) = failed(verdict(metrics(top1=0.25, topProbabilityMean=0.5), minTop1=0.5))
    assert text.endswith(", confidently wrong: its mean top probability is 0.5000")


@pytest.mark.parametrize(("top1", "sure"), [(0.1, 0.49), (0.4, 0.79), (0.0, None)], ids=str)
def test_a_model_that_is_unsure_or_often_right_is_not(top1: float, sure: float | None) -> None:
    found = verdict(metrics(top1=top1, topProbabilityMean=sure), minTop1=0.5)
    assert failed(found) == [f"top-1 {top1:.4f} is below 0.5000 (minTop1)"]


def test_each_figure_is_judged_beside_one_that_is_missing() -> None:
    own = metrics(top1=0.5, topProbabilityMean=None).model_copy(update={"roc_auc": None})
    assert failed(verdict(own, metrics())) == [
        "ROC AUC is missing, old has 0.9800",
        "top-1 0.5000 is more than 0.0200 below old's 0.7000 (maxRegression)",
    ]


def test_a_regression_counts_if_both_models_have_the_figure() -> None:
    assert failed(verdict(metrics(top1=0.6799), metrics())) == [
        "top-1 0.6799 is more than 0.0200 below old's 0.7000 (maxRegression)"
    ]
    assert verdict(metrics(top1=0.68), metrics()).passed
    assert verdict(metrics(top1=None), metrics()).passed
    assert failed(verdict(metrics(speciesAccuracy=0.87), metrics())) == [
        "species accuracy 0.8700 is more than 0.0200 below old's 0.9000 (maxRegression)"
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"samples": 99},
            "split (99 pictures with a known individual) is not old's split (100 pictures with a known individual)",
        ),
        (
            {"speciesSamples": 90},
            "split (90 pictures with a known species) is not old's split (100 pictures with a known species)",
        ),
    ],
    ids=["individuals", "species"],
)
def test_pictures_with_other_labels_are_another_evaluation_set(change: Json, text: str) -> None:
    assert failed(verdict(metrics(**change), metrics())) == [f"evaluation set {text}"]


BY_SPECIES: Json = {"minSamples": 20, "maxRegression": 0.1}


def test_a_model_that_lost_one_species_is_refused() -> None:
    own = metrics(species=SPECIES | {"orca": (40, 0.0)}, speciesAccuracy=0.89)
    assert verdict(own, metrics()).passed, "the figure over all species does not show it"
    found = verdict(own, metrics(), bySpecies=BY_SPECIES)
    assert failed(found) == [
        "species accuracy of orca 0.0000 is more than 0.1000 below old's 0.8000 (bySpecies.maxRegression, 40 pictures)"
    ]
    assert (
        "species whose accuracy is no more than 0.1000 below old's: 1; not judged, as there are fewer than 20 "
        "pictures: 1 (bySpecies)"
    ) in found.message


def test_a_species_with_few_pictures_is_not_judged() -> None:
    own = metrics(species=SPECIES | {"minke": (4, 0.0)})
    assert verdict(own, metrics(), bySpecies=BY_SPECIES).passed
    assert not verdict(own, metrics(), bySpecies={**BY_SPECIES, "minSamples": 4}).passed


@pytest.mark.parametrize(
    ("own", "theirs", "text"),
    [
        (
            metrics(species=None),
            metrics(),
            (
                "figures by species are missing (bySpecies); scripts/compute_metrics.py computes them on pictures with a "
                "species"
            ),
        ),
        (
            metrics(),
            metrics(species=None),
            (
                "figures by species of old are missing (bySpecies); scripts/compute_metrics.py computes them on pictures "
                "with a species"
            ),
        ),
        (
            metrics(species={"beluga": (40, 0.9)}),
            metrics(),
            "species accuracy of orca is missing, old has 0.8000 (bySpecies)",
        ),
        (
            metrics(species=SPECIES | {"orca": (39, 0.8)}),
            metrics(),
            "species accuracy of orca is of 39 pictures, old's is of 40: not the same set (bySpecies)",
        ),
    ],
    ids=["candidate", "serving", "one species", "another number"],
)
def test_figures_by_species_are_needed_if_they_are_asked_for(
    own: ModelMetrics, theirs: ModelMetrics, text: str
) -> None:
    assert failed(verdict(own, theirs, bySpecies=BY_SPECIES)) == [text]
    assert verdict(own, theirs).passed


def test_with_nothing_serving_no_species_is_compared() -> None:
    assert verdict(OLD, bySpecies=BY_SPECIES).passed


def test_the_species_that_are_judged_are_counted() -> None:
    found = verdict(metrics(), metrics(), bySpecies={**BY_SPECIES, "minSamples": 4})
    assert found.findings[-1].text == "species whose accuracy is no more than 0.1000 below old's: 3 (bySpecies)"


def test_so_many_lost_species_as_a_message_names_are_all() -> None:
    species = {f"species{number}": (40, 0.9) for number in range(8)}
    lost = dict.fromkeys(species, (40, 0.0))
    found = failed(verdict(metrics(species=lost), metrics(species=species), bySpecies=BY_SPECIES))
    assert len(found) == 8
    assert all(text.startswith("species accuracy of species") for text in found)


def test_the_interval_of_one_species_alone_is_that_of_one_comparison() -> None:
    enough = pictures_more_than(0.9, 0.7, 0.1)
    assert enough is not None
    own, theirs = metrics(species={"orca": (enough, 0.7)}), metrics(species={"orca": (enough, 0.9)})
    assert len(failed(verdict(own, theirs, bySpecies=BY_SPECIES, **INTERVAL))) == 1


def test_many_lost_species_are_named_in_part_and_counted() -> None:
    species = {f"species{number:02}": (40, 0.9) for number in range(64)}
    lost = dict.fromkeys(species, (40, 0.0))
    found = failed(verdict(metrics(species=lost), metrics(species=species), bySpecies=BY_SPECIES))
    assert len(found) == 9
    assert found[0].startswith("species accuracy of species00 0.0000 is more than")
    assert found[-1] == "56 more species are worse than old's (bySpecies)"


INTERVAL: Json = {"evidence": "Interval"}


def test_an_interval_that_includes_the_bound_passes_and_says_how_many_pictures_would_decide() -> None:
    found = verdict(metrics(top1=0.46), minTop1=0.5, **INTERVAL)
    assert found.passed
    (open_finding,) = [finding for finding in found.findings if not finding.conclusive]
    assert open_finding.text == (
        "top-1 0.4600 of 100 pictures, 95 % interval 0.3656 to 0.5574, is not shown to be below 0.5000: about 601 "
        "pictures would decide (minTop1)"
    )
    assert not verdict(metrics(top1=0.46, samples=601), minTop1=0.5, **INTERVAL).passed
    assert verdict(metrics(top1=0.46, samples=600), minTop1=0.5, **INTERVAL).passed


def test_an_interval_that_excludes_the_bound_refuses() -> None:
    found = verdict(metrics(top1=0.3, topProbabilityMean=None), minTop1=0.5, **INTERVAL)
    assert failed(found) == ["top-1 0.3000 of 100 pictures, 95 % interval 0.2189 to 0.3958, is below 0.5000 (minTop1)"]


def test_a_drop_is_judged_by_its_interval_too() -> None:
    found = verdict(metrics(top1=0.6), metrics(), **INTERVAL)
    assert found.passed
    (open_finding,) = [finding for finding in found.findings if not finding.conclusive]
    assert open_finding.text.startswith(
        "top-1 0.6000 of 100 pictures is not shown to be more than 0.0200 below old's 0.7000, 95 % interval of the drop "
    )
    assert open_finding.text.endswith(" pictures would decide (maxRegression)")
    refused = failed(verdict(metrics(top1=0.5, topProbabilityMean=None), metrics(), **INTERVAL))
    assert len(refused) == 1
    assert refused[0].startswith("top-1 0.5000 is more than 0.0200 below old's 0.7000, 95 % interval of the drop 0.06")


def test_the_gates_own_rates_have_intervals_too_if_their_pictures_are_counted() -> None:
    counted = ModelMetrics.model_validate(metrics().model_dump(by_alias=True) | {"tpr": 0.82, "tnr": 0.95})
    assert verdict(counted, **INTERVAL).passed
    assert not verdict(counted).passed
    unknown = counted.model_copy(update={"positives": None})
    assert failed(verdict(unknown, **INTERVAL)) == [
        "TPR 0.8200 is below 0.8500 (minTPR); judged as Point: it is no share of pictures, or their number is missing"
    ]


def test_roc_auc_is_always_judged_by_itself() -> None:
    worse = metrics().model_copy(update={"roc_auc": 0.95})
    (text,) = failed(verdict(worse, metrics(), **INTERVAL))
    assert text.startswith("ROC AUC 0.9500 is more than 0.0200 below old's 0.9800 (maxRegression); judged as Point")


def test_a_few_pictures_of_a_species_refuse_only_what_cannot_be_chance() -> None:
    policy: Json = {"bySpecies": {**BY_SPECIES, "minSamples": 4}, **INTERVAL}
    found = verdict(metrics(species=SPECIES | {"minke": (4, 0.5)}), metrics(), **policy)
    assert found.passed
    assert "species accuracy of minke 0.5000 of 4 pictures is not shown to be more than 0.1000 below" in found.message
    assert not verdict(metrics(species=SPECIES | {"orca": (40, 0.2)}), metrics(), **policy).passed


@pytest.mark.parametrize(
    "wrong",
    [
        {"minTop1": 1.1},
        {"minSpeciesAccuracy": -0.1},
        {"evidence": "Guess"},
        {"bySpecies": {"minSamples": 0}},
        {"bySpecies": {"maxRegression": 2}},
    ],
)
def test_an_invalid_bound_is_rejected(wrong: Json) -> None:
    with pytest.raises(ValidationError):
        GatePolicy.model_validate(wrong)


@pytest.mark.parametrize(("number", "refused"), [(1, True), (20, False)])
def test_a_drop_that_one_species_of_many_shows_by_chance_is_not_refused(number: int, refused: bool) -> None:
    """All intervals hold together: with twenty species each is wider than with one."""
    before = {f"species {one}": (100, 0.95) for one in range(number)}
    found = verdict(
        metrics(species=before | {"species 0": (100, 0.80)}),
        metrics(species=before),
        **INTERVAL,
        bySpecies={"maxRegression": 0.02},
    )
    assert bool(failed(found)) == refused
