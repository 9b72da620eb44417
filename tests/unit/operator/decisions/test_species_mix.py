"""The species whose share changes most, and the mean probability that the same mix of species lets expect."""

from __future__ import annotations

from typing import Any

import pytest

from cetacean_operator.decisions.answers import PooledAnswers, SpeciesAnswers
from cetacean_operator.decisions.chance import drop_chance, share_chance
from cetacean_operator.decisions.species_mix import Confidence, ShareChange, confidence_by_species, share_change
from cetacean_registry.figures import ModelMetrics

OTHERS = "all other species"


def bins(pictures: dict[int, int]) -> tuple[int, ...]:
    """Return the histogram with so many pictures in the bins of these numbers."""
    return tuple(pictures.get(number, 0) for number in range(20))


def named(**species: int) -> PooledAnswers:
    """Return answers that name each species so often."""
    return PooledAnswers(
        identified=sum(species.values()),
        species={name: SpeciesAnswers(count, 5_000 * count) for name, count in species.items() if count},
    )


def evaluated(total: int, **species: int) -> ModelMetrics:
    """Return the figures of a set of so many accepted pictures, of which the model names each species so often."""
    found = [{"species": name, "samples": 9, "speciesAccuracy": 0.5, "named": count} for name, count in species.items()]
    reference = {"cetaceanScore": bins({19: total}), "topProbability": bins({15: total})}
    return ModelMetrics.model_validate({"bySpecies": found, "reference": reference})


def test_a_share_that_stays_proves_nothing() -> None:
    """The largest of no changes is that of the last name."""
    assert share_change(named(orca=50, beluga=50), evaluated(10, orca=5, beluga=5)) == ShareChange(
        "orca", 0.5, 0.5, 1.0
    )


@pytest.mark.parametrize(
    ("answers", "metrics", "found"),
    [
        # A species that nobody names any more.
        (
            named(beluga=100),
            evaluated(200, orca=140, beluga=60),
            ShareChange("orca", 0.0, 0.7, 6 * share_chance(140, 200, of=0, among=100)),
        ),
        # One that the model has never named on the evaluation set.
        (
            named(orca=30, beluga=35, narwhal=35),
            evaluated(200, orca=0, beluga=100, narwhal=100),
            ShareChange("orca", 0.3, 0.0, 8 * share_chance(30, 100, of=0, among=200)),
        ),
        # Species that the figures do not list: the set has as many as its rest.
        (
            named(orca=45, beluga=15, narwhal=30, minke=10),
            evaluated(100, orca=60, beluga=30),
            ShareChange(OTHERS, 0.4, 0.1, 6 * share_chance(40, 100, of=10, among=100)),
        ),
        (
            named(orca=55, beluga=45),
            evaluated(100, orca=40, beluga=30),
            ShareChange(OTHERS, 0.0, 0.3, 6 * share_chance(30, 100, of=0, among=100)),
        ),
        (
            named(narwhal=100),
            evaluated(200, orca=100, beluga=100),
            ShareChange(OTHERS, 1.0, 0.0, 6 * share_chance(100, 100, of=0, among=200)),
        ),
        # Three species that are named once allow as many more others.
        (
            named(orca=57, narwhal=43),
            evaluated(100, orca=85, a=1, b=1, c=1, d=2),
            ShareChange(OTHERS, 0.43, 0.13, 12 * share_chance(43, 100, of=13, among=100)),
        ),
        (
            named(orca=91, a=2, b=2, c=2, d=3),
            evaluated(100, orca=85, a=1, b=1, c=1, d=2),
            ShareChange(OTHERS, 0.0, 0.1, min(1.0, 12 * share_chance(10, 100, of=0, among=100))),
        ),
    ],
    ids=["gone", "new", "more others", "no others", "others only", "others beyond the rare", "fewer than the rest"],
)
def test_the_species_with_the_largest_change_is_found(
    answers: PooledAnswers, metrics: ModelMetrics, found: ShareChange
) -> None:
    assert share_change(answers, metrics) == found


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        # All wrong answers about other species may name it, but none about its own.
        (named(orca=100), ShareChange("orca", 1.0, 0.39, 14 * share_chance(100, 100, of=39, among=100))),
        (named(beluga=100), ShareChange("beluga", 1.0, 0.57, 14 * share_chance(100, 100, of=57, among=100))),
        # Four species of the set have one picture: as many may be of species that it lacks.
        (named(narwhal=100), ShareChange(OTHERS, 1.0, 0.43, 14 * share_chance(100, 100, of=43, among=100))),
        # Of an orca's pictures at least the right answers name it.
        (
            named(beluga=57, narwhal=43),
            ShareChange("orca", 0.0, 0.3, 14 * share_chance(30, 100, of=0, among=100)),
        ),
    ],
    ids=["orca", "beluga", "others", "none"],
)
def test_without_what_the_model_names_its_errors_bound_the_shares(answers: PooledAnswers, found: ShareChange) -> None:
    """30 of 60 orcas and 27 of 36 belugas are right, and so are four species with one picture each."""
    species = [("orca", 60, 0.5), ("beluga", 36, 0.75), *((name, 1, 1.0) for name in "abcd")]
    metrics = ModelMetrics.model_validate(
        {"bySpecies": [{"species": a, "samples": samples, "speciesAccuracy": right} for a, samples, right in species]}
    )
    assert share_change(answers, metrics) == found


def test_without_species_or_answers_there_is_no_change() -> None:
    assert share_change(named(orca=9), evaluated(100)) is None
    assert share_change(named(orca=9), ModelMetrics()) is None
    assert share_change(named(), evaluated(100, orca=100)) is None
    assert share_change(named(orca=9), evaluated(0, orca=0)) is None


def sure(reference: dict[str, Any] | None) -> ModelMetrics:
    species = [
        {"species": "orca", "samples": 9, "speciesAccuracy": 1.0, "named": 60, "namedTopProbabilityMean": 0.6},
        {"species": "beluga", "samples": 9, "speciesAccuracy": 1.0, "named": 20, "namedTopProbabilityMean": 1.0},
        {"species": "narwhal", "samples": 9, "speciesAccuracy": 1.0, "named": 0, "namedTopProbabilityMean": 0.1},
        {"species": "minke", "samples": 9, "speciesAccuracy": 1.0, "named": 5},
    ]
    return ModelMetrics.model_validate({"bySpecies": species, "reference": reference})


ORCAS, BELUGAS = SpeciesAnswers(30, 150_000), SpeciesAnswers(10, 99_000)
BELUGAS_LARGEST = (299 / 300) * (1 / 300)
"""Their mean, over both samples, is 29.9 / 30: no larger variance is possible, and that of all pictures is larger."""


@pytest.mark.parametrize(
    ("reference", "spread"),
    [
        # The variance of these bins, whose width is 0.05, and that of a uniform value within a bin.
        (None, 0.05**2 * (0.75 * 0.25 * 9**2 + 1 / 12)),
        (
            {"cetaceanScore": bins({19: 80}), "topProbability": bins({12: 60, 19: 20})},
            0.05**2 * ((30 * 3.25**2 + 60 * 1.25**2 + 30 * 5.75**2) / 120 + 1 / 12),
        ),
    ],
    ids=["the answers alone", "with the reference"],
)
def test_the_expected_mean_is_that_of_the_same_mix_of_species(reference: dict[str, Any] | None, spread: float) -> None:
    answers = PooledAnswers(
        identified=40, top_probability=bins({10: 30, 19: 10}), species={"orca": ORCAS, "beluga": BELUGAS}
    )
    found = confidence_by_species(answers, sure(reference))
    variance = 0.75**2 * spread * (1 / 30 + 1 / 60) + 0.25**2 * BELUGAS_LARGEST * (1 / 10 + 1 / 20)
    assert found is not None
    assert tuple(found) == pytest.approx((0.6225, 0.7, drop_chance(0.0775, variance)), rel=1e-9)
    assert found.drop == pytest.approx(0.0775)


def test_species_without_a_reference_are_left_out_and_at_most_half_of_the_answers() -> None:
    def found(orcas: int, **others: int) -> Confidence | None:
        answers = named(orca=orcas, **others)
        return confidence_by_species(
            PooledAnswers(identified=answers.identified, top_probability=bins({10: 9}), species=answers.species),
            sure(None),
        )

    half = found(50, narwhal=20, minke=20, unknown=10)
    assert half is not None
    assert (half.mean, half.expected) == (0.5, 0.6)
    assert found(49, narwhal=21, minke=20, unknown=10) is None
    assert found(0, narwhal=1) is None
    assert found(0) is None
    assert found(9) is not None
