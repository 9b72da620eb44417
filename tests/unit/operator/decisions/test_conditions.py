"""Conditions after kstatus, their times, the emergency, and specs that cannot be read."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.kstatus import kstatus
from support.operator_world import BEGIN, World, entry, manifest

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Observed
from cetacean_operator.api.timestamps import seconds_since, timestamp
from cetacean_operator.decisions.decide import decide


def test_kstatus_over_a_life() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), entry("bad", "c", metrics={"tnr": 0.1})))
    world.reconcile()
    assert kstatus(world.obj) == "InProgress"
    world.settle()
    assert kstatus(world.obj) == "Current"
    world.activate("bad")
    assert kstatus(world.obj) == "InProgress", "not seen yet"
    world.settle()
    assert kstatus(world.obj) == "Failed"
    world.activate("second")
    world.reconcile()
    assert kstatus(world.obj) == "InProgress"
    world.settle()
    assert kstatus(world.obj) == "Current"


def test_all_conditions_are_there_in_their_order() -> None:
    world = World(manifest(serving={"autoscaling": {}}))
    world.reconcile()
    assert tuple(condition.type for condition in world.status.conditions) == names.CONDITIONS
    for condition in world.status.conditions:
        assert condition.reason.isalnum()
        assert condition.message


def test_the_transition_time_moves_with_the_status_alone() -> None:
    world = World()
    world.settle()
    world.wait(minutes=5)
    world.edit(serving={"replicas": 3})
    world.reconcile()
    assert world.condition("Ready").status == "False"
    assert world.condition("Ready").last_transition_time == timestamp(world.now)
    assert "1 of 3" in world.condition("Available").message
    assert world.condition("Available").last_transition_time == timestamp(BEGIN), "True stays True"


class TestEmergency:
    """A threshold of 0.0 accepts everything."""

    @pytest.fixture
    def world(self) -> World:
        world = World(manifest(antiFraud={"threshold": 0.0}))
        world.settle()
        return world

    def test_it_is_told_since_when(self, world: World) -> None:
        assert world.is_("AntiFraudDisabled") == ("True", "ThresholdZero")
        assert timestamp(BEGIN) in world.condition("AntiFraudDisabled").message
        assert world.status.anti_fraud is not None
        assert world.status.anti_fraud.disabled_since == timestamp(BEGIN)
        assert world.reasons.count("AntiFraudDisabled") == 1
        assert world.is_("Ready")[0] == "True", "it serves, as it was told to"

    def test_it_is_looked_at_again_when_a_day_is_over(self, world: World) -> None:
        world.wait(hours=1)
        assert world.decide().requeue_after == 23 * 3600

    def test_after_a_day_it_is_overdue_and_told_once(self, world: World) -> None:
        world.wait(hours=24)
        world.settle()
        world.wait(hours=24)
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("True", "RecalibrationOverdue")
        assert world.condition("AntiFraudDisabled").last_transition_time == timestamp(BEGIN)
        assert world.reasons.count("RecalibrationOverdue") == 1
        assert world.decide().requeue_after is None

    def test_a_threshold_ends_it(self, world: World) -> None:
        world.edit(antiFraud={"threshold": 0.4})
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("False", "Enabled")
        assert world.status.anti_fraud is not None
        assert world.status.anti_fraud.disabled_since is None
        assert world.reasons[-1] == "Serving"
        assert "AntiFraudEnabled" in world.reasons

    def test_another_emergency_begins_anew(self, world: World) -> None:
        world.edit(antiFraud={"threshold": 0.4})
        world.settle()
        world.wait(hours=48)
        world.edit(antiFraud={"threshold": 0.0})
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("True", "ThresholdZero")


class TestInvalid:
    """What the CRD's schema would have refused, had it been there."""

    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.settle()
        world.edit(registry={"active": "nobody"}, antiFraud={"threshold": 7})
        return world

    def test_it_becomes_a_condition_and_touches_nothing(self, world: World) -> None:
        children = copy.deepcopy(world.children)
        plan = world.settle()
        assert not plan.apply
        assert not plan.delete
        assert world.children == children
        assert world.is_("Stalled") == ("True", "InvalidSpec")
        assert world.is_("Ready") == ("False", "InvalidSpec")
        for part in ("nobody", "antiFraud.threshold", "7"):
            assert part in world.condition("Stalled").message
        assert world.reasons.count("InvalidSpec") == 1
        assert world.status.observed_generation == 2

    def test_the_rest_of_the_status_stays(self, world: World) -> None:
        before = world.status
        world.settle()
        assert world.status.serving == before.serving
        assert world.status.history == before.history
        assert {item.type for item in world.status.conditions} == {item.type for item in before.conditions}

    def test_it_is_mended(self, world: World) -> None:
        world.settle()
        world.edit(registry={"active": "first"}, antiFraud={"threshold": 0.5})
        world.settle()
        assert world.is_("Ready") == ("True", "Serving")

    @pytest.mark.parametrize("spec", [{}, {"registry": None}, {"registry": []}, {"serving": {"image": "x"}}])
    def test_nothing_crashes(self, spec: dict[str, Any]) -> None:
        world = World()
        world.obj["spec"] = spec
        world.settle()
        assert world.is_("Stalled") == ("True", "InvalidSpec")


def test_a_name_that_is_taken_is_told_and_nothing_applied() -> None:
    world = World()
    observed = Observed(name_conflict="Deployment whales")
    plan = decide(CetaceanModel.of(world.obj), observed, BEGIN)
    assert plan.apply == ()
    stalled = plan.status.condition("Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "NameTaken")
    assert "Deployment whales exists and is not this resource's" in stalled.message


def test_what_the_api_server_refuses_is_told() -> None:
    plan = decide(CetaceanModel.of(World().obj), Observed(refused="the API server refused a child: quota"), BEGIN)
    ready = plan.status.condition("Ready")
    assert ready is not None
    assert (ready.reason, ready.message) == ("ApplyRefused", "the API server refused a child: quota")


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("2025-12-31T23:59:30Z", 30.0),
        ("2025-12-31T23:59:30", 30.0),
        ("2026-01-01T01:00:00+01:00", 0.0),
        ("", None),
        (None, None),
        ("yesterday", None),
    ],
)
def test_ages(text: str | None, age: float | None) -> None:
    assert seconds_since(text, BEGIN) == age
