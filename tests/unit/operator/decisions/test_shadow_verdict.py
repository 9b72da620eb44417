"""Verdicts about a candidate, and the error rates that the method promises, by simulation."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cetacean_operator.api.shadow import PairCounts, ShadowReport, SpeciesPairs
from cetacean_operator.decisions.shadow_verdict import Outcome, Requirements, judge_shadow, pool

NEEDED = Requirements()
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


def test_an_equal_candidate_agrees() -> None:
    verdict = judge_shadow(report(), NEEDED)
    assert (verdict.outcome, verdict.reason) == (Outcome.PASSED, "Agrees")
    assert "600 pictures were answered by both" in verdict.message
    assert "same species 1.0000 (at least 0.98)" in verdict.message


def test_without_pictures_nothing_is_decided() -> None:
    verdict = judge_shadow(report(PairCounts()), NEEDED)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "Running")
    assert "0 pictures were answered by both, at least 300 are needed" in verdict.message


def test_fewer_pictures_than_required_do_not_pass() -> None:
    verdict = judge_shadow(report(), replace(NEEDED, pictures=601))
    assert verdict.outcome is Outcome.UNDECIDED


def test_enough_pictures_with_too_wide_bounds_do_not_pass() -> None:
    few = replace(EQUAL, pairs=310, accepted=310, both_accepted=310, species=310, individual=310)
    verdict = judge_shadow(report(few), NEEDED)
    assert verdict.outcome is Outcome.UNDECIDED
    assert "same acceptance is between 0.98" in verdict.message


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
    verdict = judge_shadow(report(pairs, failed=failed), NEEDED)
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, reason)
    assert named in verdict.message


def test_what_serves_disagrees_with_itself_is_allowed_to_the_candidate_too() -> None:
    lower = replace(EQUAL, individual=510, by_species={})
    noise = PairCounts(pairs=300, accepted=300, both_accepted=300, species=300, individual=240)
    assert judge_shadow(report(lower), replace(NEEDED, individual=0.95)).outcome is Outcome.FAILED
    assert judge_shadow(report(lower, noise=noise), replace(NEEDED, individual=0.95)).outcome is Outcome.PASSED


def test_a_few_noise_pairs_allow_nothing() -> None:
    lower = replace(EQUAL, individual=480, by_species={})
    noise = PairCounts(pairs=20, accepted=20, both_accepted=20, species=20, individual=10)
    assert judge_shadow(report(lower, noise=noise), replace(NEEDED, individual=0.95)).outcome is Outcome.FAILED


def test_pods_counts_add_up_and_those_of_another_run_are_left_out() -> None:
    half = replace(
        EQUAL,
        **dict.fromkeys(("pairs", "accepted", "both_accepted", "species", "individual"), 300),
        by_species={"orca": SpeciesPairs(300, 300, 300)},
    )
    other = replace(half, by_species={"beluga": SpeciesPairs(300, 300, 300)})
    reports = [report(half), report(other), replace(report(), run="before")]
    assert pool(reports, "one").candidate == EQUAL
    assert pool(reports, "one").sampled == 600


def outcome_of(
    rng: random.Random,
    *,
    accepted: float,
    species: float,
    individual: float,
    species_names: int = 4,
    longest: int = 1500,
) -> Outcome:
    """Send pictures one by one and check again and again, until there is a verdict."""
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
        if number % 25 == 0:
            pairs = PairCounts(
                **counts, by_species={name: SpeciesPairs(*row) for name, row in by_species.items() if row[0]}
            )
            verdict = judge_shadow(report(pairs), NEEDED)
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


def test_good_and_bad_candidates_get_their_verdicts() -> None:
    rng = random.Random("clear")
    good = [outcome_of(rng, accepted=0.9999, species=0.999, individual=0.95) for _ in range(10)]
    bad = [outcome_of(rng, accepted=0.99, species=0.7, individual=0.4) for _ in range(10)]
    assert good.count(Outcome.PASSED) >= 9
    assert bad == [Outcome.FAILED] * 10
