"""The figures of a stage as the status shows them: counts as they are, shares and times rounded."""

from __future__ import annotations

import math

from cetacean_operator.api.candidate import CanaryFigures, ShadowFigures, StageShare
from cetacean_operator.api.shadow import PairCounts, ShadowReport
from cetacean_operator.decisions.canary_verdict import Answered, CanaryShare
from cetacean_operator.decisions.stage_figures import canary_figures, shadow_figures, stage_shares


def test_a_shadow_shows_all_counts_and_the_means_of_its_pairs() -> None:
    pairs = PairCounts(
        pairs=30,
        accepted=29,
        both_accepted=7,
        species=6,
        individual=5,
        score_difference=-100_000,
        probability_served=345,
        probability_other=12_345,
        compute_us_served=3_000_000,
        compute_us_other=4_000_000,
        slower=4,
    )
    noise = PairCounts(pairs=40, accepted=39, both_accepted=38, species=37, individual=36)
    report = ShadowReport(run="r", sampled=99, dropped=3, busy=2, failed=1, candidate=pairs, noise=noise)
    assert shadow_figures(report) == ShadowFigures(
        pictures=30,
        failed=1,
        busy=2,
        dropped=3,
        accepted=29,
        both_accepted=7,
        species=6,
        individual=5,
        slower=4,
        score_shift=-0.3333,
        probability_shift=0.1714,
        compute_ratio=1.3333,
        noise_pictures=40,
        noise_accepted=39,
        noise_both_accepted=38,
        noise_species=37,
        noise_individual=36,
    )


def test_a_shadow_without_pairs_has_no_means() -> None:
    found = shadow_figures(ShadowReport())
    assert (found.score_shift, found.probability_shift, found.compute_ratio) == (None, None, None)


def test_a_mean_of_one_pair_is_known() -> None:
    one = PairCounts(pairs=1, both_accepted=1, score_difference=500, probability_other=200, compute_us_served=1)
    found = shadow_figures(ShadowReport(candidate=one))
    assert (found.score_shift, found.probability_shift, found.compute_ratio) == (0.05, 0.02, 0.0)


def test_a_canary_shows_the_answers_of_both_groups_and_their_medians_in_milliseconds() -> None:
    candidate = Answered(100, 3, ((0.0246912, 100.0), (math.inf, 100.0)))
    stable = Answered(900, 4, ((1.0, 900.0), (math.inf, 900.0)))
    assert canary_figures(10, 2, candidate, stable) == CanaryFigures(
        weight=10,
        candidate_pods=2,
        requests=100,
        errors=3,
        stable_requests=900,
        stable_errors=4,
        median_seconds=0.012,
        stable_median_seconds=0.5,
    )


def test_a_canary_without_times_has_no_medians() -> None:
    found = canary_figures(10, 2, Answered(0, 0, ()), Answered(0, 0, ()))
    assert (found.median_seconds, found.stable_median_seconds) == (None, None)


def test_a_requirement_is_shown_with_four_decimals() -> None:
    shares = [
        CanaryShare("answered without 5xx", 2, 3, 0.12345678, 0.98765432, 0.97999999),
        CanaryShare("not slower than the bound", 0, 0, 0.0, 1.0, 0.5),
    ]
    assert stage_shares(shares) == (
        StageShare(
            name="answered without 5xx",
            successes=2,
            trials=3,
            observed=0.6667,
            low=0.1235,
            high=0.9877,
            smallest=0.98,
        ),
        StageShare(
            name="not slower than the bound", successes=0, trials=0, observed=None, low=0.0, high=1.0, smallest=0.5
        ),
    )
