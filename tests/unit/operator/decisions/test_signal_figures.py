"""The figures of each signal as a whole: value, bound, pictures, chance, reason and text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cetacean_operator.api.drift_signals import DriftSignals
from cetacean_operator.decisions.answers import PooledAnswers, SpeciesAnswers
from cetacean_operator.decisions.chance import distance_chance, drop_chance, histogram_variance, share_chance
from cetacean_operator.decisions.measured import Measured
from cetacean_operator.decisions.signal_figures import (
    Cause,
    measure_distribution,
    measure_low_confidence,
    measure_species,
    measure_top_probability,
)
from cetacean_operator.decisions.species_mix import confidence_by_species
from cetacean_registry.figures import ModelMetrics


def bins(pictures: dict[int, int]) -> tuple[int, ...]:
    """Return the histogram with so many pictures in the bins of these numbers."""
    return tuple(pictures.get(number, 0) for number in range(20))


ANSWERS = PooledAnswers(
    answered=120,
    identified=100,
    low_confidence=20,
    probability_sum=600_000,
    cetacean_score=bins({10: 60, 18: 60}),
    top_probability=bins({0: 20, 10: 30, 15: 50}),
    species={
        "orca": SpeciesAnswers(40, 200_000),
        "beluga": SpeciesAnswers(50, 350_000),
        "narwhal": SpeciesAnswers(10, 50_000),
    },
)
FIGURES: dict[str, Any] = {
    "identification": {"samples": 40, "topProbabilityMean": 0.8},
    "bySpecies": [
        {"species": "orca", "samples": 150, "speciesAccuracy": 1.0, "named": 150, "namedTopProbabilityMean": 0.8},
        {"species": "beluga", "samples": 50, "speciesAccuracy": 1.0, "named": 50, "namedTopProbabilityMean": 0.9},
    ],
    "reference": {"cetaceanScore": bins({18: 250}), "topProbability": bins({0: 10, 15: 190})},
}
SURE = {"samples": 40, "topProbabilityMean": 1.0}
NOTHING = FIGURES["reference"] | {"topProbability": bins({})}


def metrics(**changes: Any) -> ModelMetrics:
    return ModelMetrics.model_validate(FIGURES | changes)


def top_probability(drop: float, expected: float, chance: float) -> Measured:
    return Measured(
        value=drop,
        bound=0.1,
        samples=100,
        chance=chance,
        reason="TopProbabilityDropped",
        text=f"mean top probability 0.600 over 100 pictures, {drop:.3f} below the {expected:g} of the evaluation set: "
        "at least 0.1 (topProbability.maxDrop)",
        from_identification=True,
    )


def test_the_drop_of_the_top_probability_is_judged_by_the_variance_of_both_samples() -> None:
    both = histogram_variance(bins({0: 30, 10: 30, 15: 240}))
    assert measure_top_probability(ANSWERS, metrics(), DriftSignals()) == top_probability(
        0.8 - 0.6, 0.8, drop_chance(0.8 - 0.6, both * (1 / 100 + 1 / 200))
    )


@pytest.mark.parametrize("reference", [None, NOTHING], ids=["no histograms", "an empty histogram"])
def test_without_a_histogram_the_drop_is_judged_by_the_largest_possible_variance(reference: Any) -> None:
    share = 1 / 100 + 1 / 40
    assert measure_top_probability(ANSWERS, metrics(reference=reference), DriftSignals()) == top_probability(
        0.8 - 0.6, 0.8, drop_chance(0.8 - 0.6, 0.8 * (1.0 - 0.8) * share)
    )
    # Means of 1 have no variance: then that of the answers counts.
    own = histogram_variance(ANSWERS.top_probability)
    found = measure_top_probability(ANSWERS, metrics(reference=reference, identification=SURE), DriftSignals())
    assert found == top_probability(0.4, 1.0, drop_chance(0.4, own * share))


def test_more_low_confidence_is_counted_from_the_first_bin_of_the_reference() -> None:
    assert measure_low_confidence(ANSWERS, metrics(), DriftSignals()) == Measured(
        value=0.2 - 0.05,
        bound=0.1,
        samples=100,
        chance=share_chance(20, 100, of=10, among=200),
        reason="LowConfidenceRisen",
        text="0.200 of 100 pictures are rejected as low_confidence, 0.150 more than the 0.050 of the evaluation set: "
        "at least 0.1 (lowConfidence.maxIncrease)",
        from_identification=True,
    )


GATE = Measured(
    value=0.5,
    bound=0.2,
    samples=120,
    chance=distance_chance(0.5, 120, 250),
    reason="DistributionChanged",
    text="0.500 of 120 pictures have a cetacean score below 0.55, on the evaluation set 0.000: a distance of at least "
    "0.2 (distribution.maxDistance)",
    from_identification=False,
)
TOP = Measured(
    value=0.45,
    bound=0.2,
    samples=100,
    chance=distance_chance(0.45, 100, 200),
    reason="DistributionChanged",
    text="0.500 of 100 pictures have a top probability below 0.55, on the evaluation set 0.050: a distance of at least "
    "0.2 (distribution.maxDistance)",
    from_identification=True,
)


def test_the_larger_distance_of_the_two_histograms_comes_first() -> None:
    assert measure_distribution(ANSWERS, metrics(), DriftSignals()) == [GATE, TOP]
    same = replace(ANSWERS, cetacean_score=bins({18: 120}))
    equal = Measured(
        value=0.0,
        bound=0.2,
        samples=120,
        chance=1.0,
        reason="DistributionChanged",
        text="0.000 of 120 pictures have a cetacean score below 0, on the evaluation set 0.000: a distance of at least "
        "0.2 (distribution.maxDistance)",
        from_identification=False,
    )
    assert measure_distribution(same, metrics(), DriftSignals()) == [TOP, equal]


def test_a_histogram_without_pictures_is_left_out() -> None:
    assert measure_distribution(ANSWERS, metrics(reference=NOTHING), DriftSignals()) == [GATE]
    rejected = replace(ANSWERS, identified=0, top_probability=bins({}))
    assert measure_distribution(rejected, metrics(), DriftSignals()) == [GATE]
    assert measure_distribution(PooledAnswers(), metrics(), DriftSignals()) == []
    assert measure_distribution(ANSWERS, metrics(reference=None), DriftSignals()) == []


def test_the_mix_of_species_and_how_sure_the_model_is_of_them_are_two_figures() -> None:
    sure = confidence_by_species(ANSWERS, metrics())
    assert sure is not None
    assert measure_species(ANSWERS, metrics(), DriftSignals()) == Cause(
        worse=Measured(
            value=sure.drop,
            bound=0.1,
            samples=100,
            chance=sure.chance,
            reason="IdentificationWorse",
            text="mean top probability 0.611 over 100 pictures, 0.244 below the 0.856 that the evaluation set has for "
            "these species: at least 0.1 (bySpecies.maxDrop)",
            from_identification=True,
        ),
        mix=Measured(
            value=0.75 - 0.4,
            bound=0.2,
            samples=100,
            chance=6 * share_chance(150, 200, of=40, among=100),
            reason="SpeciesMixChanged",
            text="0.400 of 100 pictures are named as orca, on the evaluation set 0.750: a change of at least 0.2 "
            "(bySpecies.maxShareChange)",
            from_identification=False,
        ),
    )
    assert measure_species(ANSWERS, metrics(bySpecies=None), DriftSignals()) == Cause(None, None)


@pytest.mark.parametrize(
    ("changes", "answers"),
    [
        ({"identification": None}, ANSWERS),
        ({"identification": {"samples": 40}}, ANSWERS),
        ({"identification": {"samples": 0, "topProbabilityMean": 0.8}, "reference": None}, ANSWERS),
        ({}, PooledAnswers()),
    ],
    ids=["no figures", "no mean", "no pictures", "no answers"],
)
def test_without_a_mean_or_pictures_there_is_no_top_probability(
    changes: dict[str, Any], answers: PooledAnswers
) -> None:
    assert measure_top_probability(answers, metrics(**changes), DriftSignals()) is None


@pytest.mark.parametrize(
    ("reference", "answers"),
    [(None, ANSWERS), (NOTHING, ANSWERS), (FIGURES["reference"], PooledAnswers())],
    ids=["no histograms", "an empty histogram", "no answers"],
)
def test_without_histograms_or_answers_there_is_no_rate_of_low_confidence(
    reference: Any, answers: PooledAnswers
) -> None:
    assert measure_low_confidence(answers, metrics(reference=reference), DriftSignals()) is None
