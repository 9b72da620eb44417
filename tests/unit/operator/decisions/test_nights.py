"""An automatic rollback and a disabled gate over hours, with a reconcile every two minutes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operator_world import FEWEST_PAIRS, SURE, World, entry, manifest

from cetacean_operator.api.timestamps import timestamp

PERIOD = 120
HOUR = 3600 // PERIOD
OLD = entry("old", metrics=SURE)
NEW = entry("new", "b", metrics=SURE)


def answer(world: World, probability: float) -> None:
    """Reconcile once after new answers; the model before is as sure as it always was, if it is compared."""
    world.wait(seconds=PERIOD)
    world.identify(probability)
    if world.comparison_plan is not None:
        world.compare(surer=FEWEST_PAIRS)
    world.settle()


def night(probabilities: list[float], *, reconciles: int, world: World | None = None) -> World:
    """Let each top probability of the model that serves last for a number of reconciles."""
    if world is None:
        world = World(manifest(OLD, NEW, drift={"onAlarm": "Rollback"}))
        world.settle()
        world.activate("new")
        world.settle()
    for probability in probabilities:
        for _ in range(reconciles):
            answer(world, probability)
    return world


def events(world: World, *reasons: str) -> list[str]:
    return [reason for reason in world.reasons if reason in reasons]


def test_a_model_that_drifts_for_hours_causes_one_rollback() -> None:
    world = night([0.92, 0.86, 0.70, 0.60, 0.50, 0.88], reconciles=HOUR)
    assert world.deployed == "old"
    assert world.started == ["old", "new", "old"], "one rollback, although the model before drifts as well"
    assert [item.reason for item in world.status.history] == ["DriftRollback", "GatePassed", "GatePassed"]
    assert events(world, "DriftRollback") == ["DriftRollback"]
    assert world.is_("Stalled") == ("True", "RolledBack")
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    assert world.status.rollback is not None
    # An hour each of 0.92 and 0.86; the first reconcile at 0.70 starts the comparison, the second decides.
    assert world.status.rollback.at == world.status.history[0].at
    begun = world.now.timestamp() - 4 * 3600 + 2 * PERIOD
    assert world.status.rollback.at == timestamp(world.now.fromtimestamp(begun, tz=world.now.tzinfo))
    assert "runbook" in world.condition("RegistryDiverged").message


def test_the_same_spec_applied_every_hour_promotes_nothing() -> None:
    world = night([0.7], reconciles=2)
    for _ in range(12):
        world.edit(registry={"active": "new"})  # the mirroring: a new generation, the same content
        night([0.9], reconciles=HOUR // 4, world=world)
    assert world.started == ["old", "new", "old"]
    assert world.status.observed_generation == 14
    world.activate("old")
    night([0.9], reconciles=HOUR, world=world)
    assert world.is_("Ready") == ("True", "Serving")
    assert world.is_("RegistryDiverged") == ("False", "InSync")
    assert world.status.rollback is None


def test_a_model_that_a_person_promotes_again_may_be_rolled_back_again() -> None:
    world = night([0.7], reconciles=2)
    world.activate("old")
    night([0.9], reconciles=HOUR, world=world)
    world.activate("new")
    night([0.91, 0.7], reconciles=HOUR, world=world)
    assert world.started == ["old", "new", "old", "new", "old"]
    assert events(world, "DriftRollback") == ["DriftRollback"] * 2


@pytest.mark.parametrize("samples", [0, 49])
def test_too_few_samples_cause_no_rollback(samples: int) -> None:
    world = night([], reconciles=0)
    for _ in range(8 * HOUR):
        world.wait(seconds=PERIOD)
        world.drift(0.1, samples=samples, requests=samples)
        world.identify(0.1, samples=samples)
        world.settle()
    assert world.deployed == "new"
    assert world.is_("Drifting") == ("Unknown", "TooFewSamples")
    assert world.candidate is None


WELL, BADLY = st.floats(0.83, 1), st.floats(0, 0.6)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_whatever_the_scores_no_other_model_serves(means: list[float]) -> None:
    """The anti-fraud gate produces them, and all models share it."""
    world = night([], reconciles=0)
    for mean in means:
        world.wait(seconds=PERIOD)
        world.drift(mean)
        world.identify(0.9)
        world.settle()
        assert world.is_("Available")[0] == "True"
        assert world.candidate is None
    assert world.started == ["old", "new"]


@settings(max_examples=25)
@given(st.lists(WELL | BADLY, min_size=1, max_size=40))
def test_whatever_the_answers_there_is_at_most_one_rollback_and_always_a_model(probabilities: list[float]) -> None:
    world = night([], reconciles=0)
    for probability in probabilities:
        answer(world, probability)
        assert world.is_("Available")[0] == "True"
    # The first reconcile begins the comparison, and the alarm must still stand when it is judged.
    proven = any(one <= 0.6 and other <= 0.6 for one, other in pairwise(probabilities))
    assert world.started.count("old") == (2 if proven else 1)
    assert events(world, "DriftRollback") == ["DriftRollback"] * proven
    assert (world.status.rollback is not None) == proven


@pytest.fixture
def opened() -> World:
    """The gate is disabled."""
    world = World(manifest(antiFraud={"threshold": 0.0}))
    world.settle()
    return world


def overdue(world: World) -> Any:
    return world.is_("AntiFraudDisabled")[1] == "RecalibrationOverdue"


def test_a_disabled_gate_is_overdue_after_24_hours(opened: World) -> None:
    seen = []
    for hour in range(1, 49):
        opened.wait(hours=1)
        opened.settle()
        seen.append(overdue(opened))
        assert opened.is_("AntiFraudDisabled")[0] == "True"
        assert hour < 24 or "24 h are over" in opened.condition("AntiFraudDisabled").message
    assert seen == [False] * 23 + [True] * 25
    assert events(opened, "AntiFraudDisabled", "RecalibrationOverdue") == ["AntiFraudDisabled", "RecalibrationOverdue"]
    opened.edit(antiFraud={"threshold": 0.5})
    opened.settle()
    assert opened.is_("AntiFraudDisabled") == ("False", "Enabled")


def test_other_changes_of_the_spec_do_not_restart_the_day(opened: World) -> None:
    for hours in (10, 10, 4):
        opened.wait(hours=hours)
        opened.edit(serving={"replicas": hours % 3 + 1})
        opened.settle()
    assert overdue(opened)
