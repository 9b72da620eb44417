"""Seeded simulations of what docs/drift.md promises: false alarms, fog, and a mix distinguished from a worse model.

A window is `drift.signals.window` new pictures of a pod (200 at the defaults): then each of its answers is another one.
The operator judges many times meanwhile: a run of two windows begins with an empty pod and ends with one whose window
has slid once.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from support.drift_simulation import FOG, Traffic, Window, judgements, raised, reference, window_of

from cetacean_operator.api.drift_signals import DriftSignals
from cetacean_operator.decisions.signals import FALSE_ALARMS, judge_signals

WINDOW = DriftSignals().window
RUNS = 300
"""None of so many with an alarm: with 95 % confidence fewer than 1 % have one."""
TINY = 1e-6
WITHOUT_BOUNDS = DriftSignals.model_validate(
    {
        "topProbability": {"maxDrop": TINY},
        "lowConfidence": {"maxIncrease": TINY},
        "distribution": {"maxDistance": TINY},
        "bySpecies": {"maxShareChange": TINY, "maxDrop": TINY},
    }
)
"""Whatever differs is raised if it is proven: the chance alone decides."""
TRAFFIC = {
    "three species": Traffic(),
    "nearly always sure": Traffic(
        top_probability={"humpback": (20, 0.5), "beluga": (9, 0.4), "orca": (0.6, 0.3)}, cetacean_score=(30, 0.4)
    ),
    "rarely sure": Traffic(top_probability={"humpback": (0.5, 1.2), "beluga": (0.5, 1), "orca": (0.4, 1)}),
    "thirty species": Traffic(
        species={f"s{number}": 1 / 30 for number in range(30)},
        top_probability={f"s{number}": (4, 2) for number in range(30)},
    ),
}


def share_of_runs_with_an_alarm(
    traffic: Traffic, *, every: int, evaluation_set: int = 100, policy: DriftSignals | None = None
) -> float:
    """Return the share of runs in which any judgement raises any signal; the evaluation set is drawn again for each."""
    alarms = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        metrics = reference(traffic.draw(rng, evaluation_set))
        answers = traffic.draw(rng, 2 * WINDOW)
        alarms += any(raised(verdicts) for _, verdicts in judgements(metrics, answers, every=every, policy=policy))
    return alarms / RUNS


@pytest.mark.parametrize("name", TRAFFIC)
def test_without_drift_at_most_one_percent_of_single_windows_raise_a_signal(name: str) -> None:
    traffic, alarms, runs = TRAFFIC[name], 0, 1000
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        metrics = reference(traffic.draw(rng, 100))
        alarms += bool(raised(judge_signals(window_of(traffic.draw(rng, WINDOW)), metrics, DriftSignals(), ())))
    assert alarms <= FALSE_ALARMS * runs


@pytest.mark.parametrize("name", TRAFFIC)
def test_without_drift_repeated_judgements_raise_a_signal_in_at_most_one_percent_of_windows(name: str) -> None:
    assert share_of_runs_with_an_alarm(TRAFFIC[name], every=20) <= FALSE_ALARMS


@pytest.mark.parametrize("evaluation_set", [100, 1000])
def test_the_chance_alone_keeps_the_promise_if_the_bounds_are_next_to_nothing(evaluation_set: int) -> None:
    found = share_of_runs_with_an_alarm(Traffic(), every=10, evaluation_set=evaluation_set, policy=WITHOUT_BOUNDS)
    assert found <= FALSE_ALARMS


def test_an_evaluation_set_drawn_once_raises_no_signal_in_more_than_one_percent_of_many_windows() -> None:
    """The same hundred pictures are the reference for ever: an unlucky draw of them must not alarm in every window."""
    windows = alarmed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        metrics = reference(Traffic().draw(rng, 100))
        found: Counter[int] = Counter()
        for number, verdicts in judgements(metrics, Traffic().draw(rng, 25 * WINDOW), every=20):
            found[(number - 1) // WINDOW] += bool(raised(verdicts))
        windows += len(found)
        alarmed += sum(alarms > 0 for alarms in found.values())
    assert windows == 500
    assert alarmed <= FALSE_ALARMS * windows


@pytest.mark.parametrize("pods", [1, 2])
def test_fog_is_found_within_two_hundred_pictures_although_the_windows_are_full_of_good_ones(pods: int) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        metrics = reference(Traffic().draw(rng, 100))
        window = Window(pods * WINDOW)
        for answer in Traffic().draw(rng, pods * WINDOW):
            window.add(answer)
        found = list(judgements(metrics, FOG.draw(rng, 200), every=10, window=window))
        assert {"TopProbabilityDropped", "DistributionChanged"} <= set.union(*(raised(one) for _, one in found)), seed


def test_a_changed_mix_of_species_is_found_and_is_not_the_identifications_fault() -> None:
    changed, runs = Traffic().with_mix(humpback=0.1, beluga=0.3, orca=0.6), 200
    blamed = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        metrics = reference(Traffic().draw(rng, 100))
        verdicts = judge_signals(window_of(changed.draw(rng, WINDOW)), metrics, DriftSignals(), ())
        assert "SpeciesMixChanged" in raised(verdicts), seed
        assert "IdentificationWorse" not in raised(verdicts), seed
        blamed += any(one.from_identification for one in verdicts)
    assert blamed <= FALSE_ALARMS * runs


@pytest.mark.parametrize("mix", [{}, {"humpback": 0.1, "beluga": 0.3, "orca": 0.6}], ids=["same mix", "changed mix"])
def test_a_worse_model_is_the_identifications_fault_whatever_the_mix(mix: dict[str, float]) -> None:
    worse = Traffic().with_top_probability(humpback=(4, 4), beluga=(3, 4), orca=(2, 4))
    runs, blamed, found = 200, 0, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        metrics = reference(Traffic().draw(rng, 100))
        traffic = worse.with_mix(**mix) if mix else worse
        verdicts = judge_signals(window_of(traffic.draw(rng, WINDOW)), metrics, DriftSignals(), ())
        blamed += any(one.from_identification for one in verdicts)
        found += "IdentificationWorse" in raised(verdicts)
    assert blamed == runs
    assert found >= 0.99 * runs


def test_a_worse_model_is_found_although_the_mix_hides_it() -> None:
    """More pictures of the species that it is surest of: the mean top probability is as on the evaluation set."""
    model = Traffic().with_top_probability(humpback=(40, 2), beluga=(5, 5), orca=(5, 5))
    worse = model.with_top_probability(humpback=(12, 5), beluga=(2, 5), orca=(2, 5)).with_mix(humpback=1.0)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        metrics = reference(model.draw(rng, 100))
        verdicts = judge_signals(window_of(worse.draw(rng, WINDOW)), metrics, DriftSignals(), ())
        assert "TopProbabilityDropped" not in raised(verdicts), seed
        assert "IdentificationWorse" in raised(verdicts), seed
