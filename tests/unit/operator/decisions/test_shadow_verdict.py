"""Verdicts about a candidate, and the error rates that the method promises, by simulation."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from cetacean_operator.api.shadow import PairCounts, ShadowReport, SpeciesPairs
from cetacean_operator.api.stages import MinAgreement, ShadowRequirement
from cetacean_operator.decisions.confidence_sequence import share_bounds
from cetacean_operator.decisions.shadow_verdict import (
    ALPHA,
    Outcome,
    ShadowVerdict,
    Share,
    judge_shadow,
    pool,
)

NEEDED = ShadowRequirement()
NOTHING = PairCounts()
EQUAL = PairCounts(
    pairs=600,
    accepted=600,
    both_accepted=600,
    species=600,
    individual=600,
    slower=0,
    by_species={"orca": SpeciesPairs(300, 300, 300), "beluga": SpeciesPairs(300, 300, 300)},
)


def report(pairs: PairCounts = EQUAL, *, failed: int = 0, noise: PairCounts = NOTHING) -> ShadowReport:
    return ShadowReport(run="one", sampled=pairs.pairs + failed, failed=failed, candidate=pairs, noise=noise)


def needs(pictures: int = 300, **shares: float) -> ShadowRequirement:
    return ShadowRequirement(pictures=pictures, min_agreement=MinAgreement(**shares))


def judged(found: ShadowReport, needed: ShadowRequirement, *, several_pods: bool = False) -> ShadowVerdict:
    return judge_shadow(found, needed, several_pods=several_pods)


def test_an_equal_candidate_agrees() -> None:
    assert judged(report(), NEEDED) == ShadowVerdict(
        Outcome.PASSED,
        "Agrees",
        "600 pictures were answered by both: answered 1.0000 (at least 0.99), not slower than the bound 1.0000 "
        "(at least 0.5), same acceptance 1.0000 (at least 0.99), same species 1.0000 (at least 0.98), "
        "same individual 1.0000 (at least 0.85)",
        (
            Share("answered", "Failing", 600, 600, 0.99, 0.99),
            Share("not slower than the bound", "Slower", 600, 600, 0.5, 0.5),
            Share("same acceptance", "Disagrees", 600, 600, 0.99, 0.99),
            Share("same species", "Disagrees", 600, 600, 0.98, 0.98),
            Share("same individual", "Disagrees", 600, 600, 0.85, 0.85),
            Share("same species for beluga", "Disagrees", 300, 300, 0.98, 0.98, must_pass=False),
            Share("same species for orca", "Disagrees", 300, 300, 0.98, 0.98, must_pass=False),
        ),
    )


def test_a_share_of_which_nothing_is_required_may_be_zero() -> None:
    verdict = judged(report(replace(EQUAL, individual=0)), needs(individual=0.0))
    assert verdict.outcome is Outcome.PASSED
    assert verdict.message.endswith("same individual 0.0000 (at least 0)")


def test_without_pictures_nothing_is_decided() -> None:
    verdict = judged(report(PairCounts()), NEEDED)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "Running")
    assert verdict.message == (
        "0 pictures were answered by both, at least 300 are needed; "
        "answered is between 0.000 and 1.000, expected at least 0.99, "
        "not slower than the bound is between 0.000 and 1.000, expected at least 0.5, "
        "same acceptance is between 0.000 and 1.000, expected at least 0.99"
    )
    assert [(share.trials, share.observed) for share in verdict.shares] == [(0, None)] * 5


@pytest.mark.parametrize(("pictures", "outcome"), [(600, Outcome.PASSED), (601, Outcome.UNDECIDED)])
def test_fewer_pictures_than_required_do_not_pass(pictures: int, outcome: Outcome) -> None:
    verdict = judged(report(), needs(pictures=pictures))
    assert verdict.outcome is outcome
    if outcome is Outcome.UNDECIDED:
        assert verdict.message == "600 pictures were answered by both, at least 601 are needed"
    assert len(verdict.shares) == 7


def test_enough_pictures_with_too_wide_bounds_do_not_pass() -> None:
    few = replace(EQUAL, pairs=310, accepted=310, both_accepted=310, species=310, individual=310)
    verdict = judged(report(few), NEEDED)
    assert verdict.outcome is Outcome.UNDECIDED
    assert "same acceptance is between 0.98" in verdict.message


def test_a_share_passes_with_its_lower_bound_on_what_is_required_and_fails_below_its_upper_bound() -> None:
    low = share_bounds(600, 600, alpha=ALPHA).low
    above = math.nextafter(low, 1.0)
    assert judged(report(), needs(species=low)).outcome is Outcome.PASSED
    assert judged(report(), needs(species=above)).outcome is Outcome.UNDECIDED
    less = report(replace(EQUAL, individual=500))
    high = share_bounds(500, 600, alpha=0.8 * ALPHA / 5).high
    assert judged(less, needs(individual=high)).outcome is Outcome.UNDECIDED
    failed = judged(less, needs(individual=math.nextafter(high, 1.0)))
    assert (failed.outcome, len(failed.shares)) == (Outcome.FAILED, 7)


def test_one_species_can_only_fail_and_by_bounds_of_its_own() -> None:
    """A lower bound of few pictures reaches nothing; the rest of the error is divided among 64 species."""
    rare = replace(EQUAL, by_species={"orca": SpeciesPairs(597, 597, 597), "beluga": SpeciesPairs(3, 3, 3)})
    assert judged(report(rare), NEEDED).outcome is Outcome.PASSED
    high = share_bounds(280, 300, alpha=0.2 * ALPHA / 64).high
    worse = report(replace(EQUAL, species=600, by_species={"beluga": SpeciesPairs(300, 280, 280)}))
    lenient = needs(species=high)
    assert judged(worse, lenient).outcome is not Outcome.FAILED
    assert judged(worse, needs(species=math.nextafter(high, 1.0))).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("pairs", "failed", "reason", "named"),
    [
        # Permuted rows: every individual is another one, and most species too.
        (replace(EQUAL, species=150, individual=0), 0, "Disagrees", "same individual: 0 of 600"),
        (replace(EQUAL, accepted=550), 0, "Disagrees", "same acceptance: 550 of 600"),
        (replace(EQUAL, slower=500), 0, "Slower", "not slower than the bound: 100 of 600"),
        (EQUAL, 100, "Failing", "answered: 600 of 700"),
        (
            replace(
                EQUAL,
                species=592,
                by_species={"orca": SpeciesPairs(592, 592, 592), "beluga": SpeciesPairs(8, 0, 0)},
            ),
            0,
            "Disagrees",
            "same species for beluga: 0 of 8",
        ),
    ],
)
def test_a_worse_candidate_fails_with_the_figure(pairs: PairCounts, failed: int, reason: str, named: str) -> None:
    verdict = judged(report(pairs, failed=failed), NEEDED)
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, reason)
    assert named in verdict.message


def of_noise(pairs: int, individual: int) -> PairCounts:
    return PairCounts(pairs=pairs, accepted=pairs, both_accepted=pairs, species=pairs, individual=individual)


def test_a_candidate_need_not_agree_more_than_what_serves_agrees_with_itself() -> None:
    """A tenth of the pictures is named otherwise by another pod of the same model."""
    many = dict.fromkeys(("pairs", "accepted", "both_accepted", "species"), 6000)
    as_often, needed = replace(NOTHING, **many, individual=5400, by_species={}), needs(individual=0.95)
    noise = of_noise(3000, 2700)
    assert judged(report(as_often), needed).outcome is Outcome.FAILED
    assert judged(report(as_often, noise=noise), needed, several_pods=True).outcome is Outcome.PASSED
    assert judged(report(as_often, noise=noise), needed).outcome is Outcome.FAILED, "one pod agrees with itself"
    less_often = replace(as_often, individual=4800)
    assert judged(report(less_often, noise=noise), needed, several_pods=True).outcome is Outcome.FAILED


def test_no_candidate_fails_before_it_is_known_how_often_what_serves_agrees_with_itself() -> None:
    other = replace(EQUAL, individual=300)
    assert judged(report(other), NEEDED).outcome is Outcome.FAILED
    assert judged(report(other), NEEDED, several_pods=True).outcome is Outcome.UNDECIDED
    assert judged(report(other, noise=of_noise(150, 150)), NEEDED, several_pods=True).outcome is Outcome.FAILED


def test_a_candidate_that_agrees_enough_passes_without_any_noise_pair() -> None:
    many = replace(
        EQUAL, **dict.fromkeys(("pairs", "accepted", "both_accepted", "species", "individual"), 700), by_species={}
    )
    assert judged(report(many), NEEDED, several_pods=True).outcome is Outcome.PASSED


def test_the_agreement_of_what_serves_with_itself_has_a_fifth_of_the_error() -> None:
    noise = of_noise(150, 120)
    shares = {share.name: share for share in judged(report(noise=noise), NEEDED, several_pods=True).shares}
    one = shares["same individual"]
    assert one.fails_below == 0.85 * share_bounds(120, 150, alpha=0.2 * 0.8 * ALPHA / 5).low
    assert one.smallest == 0.85 * share_bounds(120, 150, alpha=0.2 * ALPHA).high
    assert one.low == share_bounds(600, 600, alpha=0.8 * ALPHA).low
    assert one.high == share_bounds(600, 600, alpha=(1 - 0.2) * (0.8 * ALPHA / 5)).high
    orcas, species = shares["same species for orca"], shares["same species"]
    assert (orcas.fails_below, orcas.smallest) == (species.fails_below, species.smallest)
    assert orcas.high == share_bounds(300, 300, alpha=0.8 * 0.2 * ALPHA / 64).high


def test_the_most_frequent_species_are_judged() -> None:
    """Each pod reports 64 at most, those that it has met first."""
    many = {f"s{number:03}": SpeciesPairs(1 + number, 0, 0) for number in range(100)}
    shares = judged(report(replace(EQUAL, by_species=many)), NEEDED).shares
    assert len(shares) == 5 + 64
    assert [share.name for share in shares[5:7]] == ["same species for s099", "same species for s098"]


def test_pods_counts_add_up_and_those_of_another_run_are_left_out() -> None:
    half = replace(
        EQUAL,
        **dict.fromkeys(("pairs", "accepted", "both_accepted", "species", "individual"), 300),
        by_species={"orca": SpeciesPairs(300, 300, 300)},
    )
    other = replace(half, by_species={"beluga": SpeciesPairs(300, 300, 300)})
    noise = PairCounts(pairs=7)
    reports = [report(half, failed=2), report(other, noise=noise), replace(report(half, failed=9), run="before")]
    assert pool(reports, "one") == report(EQUAL, failed=2, noise=noise)
    assert pool(reports, "none") == ShadowReport(run="none")


def outcome_of(
    rng: random.Random,
    *,
    accepted: float,
    species: float,
    individual: float,
    species_names: int = 4,
    longest: int = 1500,
    itself: tuple[float, float] | None = None,
) -> Outcome:
    """Send pictures one by one and judge after each 25, until there is a verdict.

    A second pod of what serves answers every fourth picture; `itself` is how often both name the same species and
    individual.
    """
    noise = dict.fromkeys(("pairs", "accepted", "both_accepted", "species", "individual"), 0)
    counts = dict.fromkeys(("pairs", "accepted", "both_accepted", "species", "individual", "slower"), 0)
    by_species: dict[str, list[int]] = {f"species{number}": [0, 0, 0] for number in range(species_names)}
    for number in range(1, longest + 1):
        counts["pairs"] += 1
        counts["slower"] += rng.random() < 0.2
        if rng.random() < accepted:
            counts["accepted"] += 1
            counts["both_accepted"] += 1
            same_species = rng.random() < species
            same_individual = same_species and rng.random() < individual / species
            counts["species"] += same_species
            counts["individual"] += same_individual
            row = by_species[f"species{rng.randrange(species_names)}"]
            row[:] = [row[0] + 1, row[1] + same_species, row[2] + same_individual]
        if itself and number % 4 == 0:
            for count in ("pairs", "accepted", "both_accepted"):
                noise[count] += 1
            same_species = rng.random() < itself[0]
            noise["species"] += same_species
            noise["individual"] += same_species and rng.random() < itself[1] / itself[0]
        if number % 25 == 0:
            pairs = PairCounts(
                **counts, by_species={name: SpeciesPairs(*row) for name, row in by_species.items() if row[0]}
            )
            found = report(pairs, noise=PairCounts(**noise, by_species={}))
            verdict = judged(found, NEEDED, several_pods=itself is not None)
            if verdict.outcome is not Outcome.UNDECIDED:
                return verdict.outcome
    return Outcome.UNDECIDED


RUNS = 60


def test_a_candidate_that_just_meets_every_requirement_is_refused_in_at_most_five_percent() -> None:
    rng = random.Random("meets")
    outcomes = [outcome_of(rng, accepted=0.99, species=0.98, individual=0.85, longest=1000) for _ in range(RUNS)]
    # At 5 %, 60 runs have more than 9 with a chance below one in a thousand.
    assert outcomes.count(Outcome.FAILED) <= 9


def test_a_candidate_that_misses_a_requirement_passes_in_at_most_five_percent() -> None:
    rng = random.Random("misses")
    outcomes = [outcome_of(rng, accepted=1.0, species=0.979, individual=0.9) for _ in range(RUNS)]
    assert outcomes.count(Outcome.PASSED) <= 9


@pytest.mark.parametrize("itself", [(0.94, 0.85), (0.9, 0.7), (0.999, 0.99)])
def test_a_candidate_that_agrees_as_often_as_what_serves_does_is_refused_in_at_most_five_percent(
    itself: tuple[float, float],
) -> None:
    rng = random.Random(f"itself {itself}")
    found = [
        outcome_of(rng, accepted=1.0, species=itself[0], individual=itself[1], itself=itself, longest=1000)
        for _ in range(RUNS)
    ]
    assert found.count(Outcome.FAILED) <= 9


def test_a_candidate_that_agrees_less_than_is_required_of_what_serves_passes_in_at_most_five_percent() -> None:
    rng = random.Random("itself misses")
    found = [
        outcome_of(rng, accepted=1.0, species=0.979 * 0.97, individual=0.9, itself=(0.97, 0.95)) for _ in range(RUNS)
    ]
    assert found.count(Outcome.PASSED) <= 9


def test_good_and_bad_candidates_get_their_verdicts() -> None:
    rng = random.Random("clear")
    good = [outcome_of(rng, accepted=0.9999, species=0.999, individual=0.95) for _ in range(10)]
    bad = [outcome_of(rng, accepted=0.99, species=0.7, individual=0.4) for _ in range(10)]
    assert good.count(Outcome.PASSED) >= 9
    assert bad == [Outcome.FAILED] * 10


def test_a_candidate_need_not_accept_more_alike_than_two_pods_of_what_serves() -> None:
    many = replace(NOTHING, pairs=6000, accepted=5400, by_species={})
    noise = PairCounts(pairs=3000, accepted=2700)
    (share,) = (
        one
        for one in judged(report(many, noise=noise), NEEDED, several_pods=True).shares
        if one.name == "same acceptance"
    )
    assert share.fails_below == 0.99 * share_bounds(2700, 3000, alpha=0.2 * 0.8 * ALPHA / 5).low
