"""Conditions after kstatus, their times, the emergency, and specs that cannot be read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from support.kstatus import kstatus
from support.operator_world import BEGIN, World, entry, manifest

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Observed
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.decide import decide

SIGNATURE = {"keys": [{"configMapKeyRef": {"name": "signers", "key": "release.pub"}}]}


def test_kstatus_agrees_over_the_life_of_a_resource() -> None:
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


def test_all_conditions_are_present_in_order() -> None:
    image = entry("first", weightsUrl=f"oci://registry.test/whales@sha256:{'a' * 64}")
    serving = {
        "autoscaling": {},
        "signature": SIGNATURE,
        "route": {"parentRefs": [{"name": "public"}]},
        "prefetch": "All",
        "weightsCache": {"persistentVolumeClaim": {"claimName": "c"}},
    }
    world = World(manifest(image, serving=serving, approval={}, rollout={"stages": [{"shadow": {}}]}))
    world.reconcile()
    assert tuple(condition.type for condition in world.status.conditions) == names.CONDITIONS
    for condition in world.status.conditions:
        assert condition.reason.isalnum()
        assert condition.message


def test_a_resource_with_children_to_apply_is_not_ready_although_its_pods_serve() -> None:
    world = World()
    world.settle()
    del world.children["Service", "whales"]
    plan = world.decide()
    ready, reconciling = plan.status.condition("Ready"), plan.status.condition("Reconciling")
    assert ready is not None
    assert reconciling is not None
    assert (ready.status, ready.reason, reconciling.status) == ("False", "RollingOut", "True")


def test_the_transition_time_moves_only_with_the_status() -> None:
    world = World()
    world.settle()
    world.wait(minutes=5)
    world.edit(serving={"replicas": 3})
    world.reconcile()
    assert world.condition("Ready").status == "False"
    assert world.condition("Ready").last_transition_time == timestamp(world.now)
    assert "1 of 3" in world.condition("Available").message
    assert world.condition("Available").last_transition_time == timestamp(BEGIN), "True stays True"


class TestDisabledGate:
    """A threshold of 0.0 accepts everything."""

    @pytest.fixture
    def world(self) -> World:
        world = World(manifest(antiFraud={"threshold": 0.0}))
        world.settle()
        return world

    def test_the_condition_says_since_when_the_gate_is_disabled(self, world: World) -> None:
        assert world.is_("AntiFraudDisabled") == ("True", "ThresholdZero")
        assert timestamp(BEGIN) in world.condition("AntiFraudDisabled").message
        assert world.status.anti_fraud is not None
        assert world.status.anti_fraud.disabled_since == timestamp(BEGIN)
        assert world.reasons.count("AntiFraudDisabled") == 1
        assert world.is_("Ready")[0] == "True", "it serves as configured"

    def test_the_resource_is_reconciled_again_after_a_day(self, world: World) -> None:
        world.wait(hours=1)
        assert world.decide().requeue_after == 23 * 3600

    def test_the_beginning_stays_although_less_than_a_second_is_over(self, world: World) -> None:
        world.wait(milliseconds=500)
        assert world.decide().requeue_after == 24 * 3600 - 0.5

    def test_after_a_day_recalibration_is_overdue_with_one_event(self, world: World) -> None:
        world.wait(hours=24)
        world.settle()
        world.wait(hours=24)
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("True", "RecalibrationOverdue")
        assert world.condition("AntiFraudDisabled").last_transition_time == timestamp(BEGIN)
        assert world.reasons.count("RecalibrationOverdue") == 1
        assert world.decide().requeue_after is None

    def test_a_threshold_enables_the_gate_again(self, world: World) -> None:
        world.edit(antiFraud={"threshold": 0.4})
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("False", "Enabled")
        assert world.status.anti_fraud is not None
        assert world.status.anti_fraud.disabled_since is None
        assert world.reasons[-2:] == ["Serving", "AntiFraudEnabled"], "enabled once no pod accepts everything any more"

    def test_disabling_the_gate_again_starts_another_day(self, world: World) -> None:
        world.edit(antiFraud={"threshold": 0.4})
        world.settle()
        world.wait(hours=48)
        world.edit(antiFraud={"threshold": 0.0})
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("True", "ThresholdZero")


def test_a_pod_that_reports_another_threshold_serves_the_wrong_model() -> None:
    world = World(manifest(antiFraud={"threshold": 0.52}))
    world.settle()
    world.pods[0].reports = {"threshold": 0.3}
    world.settle()
    ready = world.status.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "WrongModel")
    assert "expected 0.52, got 0.3" in ready.message


def test_a_pod_that_accepts_everything_raises_anti_fraud_disabled_whatever_the_spec_says() -> None:
    world = World(manifest(antiFraud={"threshold": 0.52}))
    world.settle()
    world.pods[0].reports = {"threshold": 0.0}
    world.settle()
    disabled = world.status.condition("AntiFraudDisabled")
    assert disabled is not None
    assert (disabled.status, disabled.reason) == ("True", "ThresholdZero")
    assert "expected 0.52" in disabled.message


class TestInvalidSpec:
    """A spec that the CRD's schema would have refused."""

    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.settle()
        world.edit(registry={"active": "nobody"}, antiFraud={"threshold": 7})
        return world

    def test_an_invalid_spec_becomes_a_condition_and_changes_no_child(self, world: World) -> None:
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

    def test_an_invalid_spec_keeps_the_rest_of_the_status(self, world: World) -> None:
        before = world.status
        world.settle()
        assert world.status.serving == before.serving
        assert world.status.history == before.history
        assert {item.type for item in world.status.conditions} == {item.type for item in before.conditions}

    def test_a_corrected_spec_makes_the_resource_ready(self, world: World) -> None:
        world.settle()
        world.edit(registry={"active": "first"}, antiFraud={"threshold": 0.5})
        world.settle()
        assert world.is_("Ready") == ("True", "Serving")

    @pytest.mark.parametrize("spec", [{}, {"registry": None}, {"registry": []}, {"serving": {"image": "x"}}])
    def test_a_spec_of_another_shape_is_invalid(self, spec: dict[str, Any]) -> None:
        world = World()
        world.obj["spec"] = spec
        world.settle()
        assert world.is_("Stalled") == ("True", "InvalidSpec")


def test_a_name_conflict_is_reported_and_nothing_applied() -> None:
    world = World()
    observed = Observed(name_conflict="Deployment whales")
    plan = decide(CetaceanModel.of(world.obj), observed, BEGIN)
    assert plan.apply == ()
    stalled = plan.status.condition("Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "NameTaken")
    assert "Deployment whales exists and is not this resource's" in stalled.message


def test_a_refusal_of_the_api_server_is_reported() -> None:
    plan = decide(CetaceanModel.of(World().obj), Observed(refused="the API server refused a child: quota"), BEGIN)
    ready = plan.status.condition("Ready")
    assert ready is not None
    assert (ready.reason, ready.message) == ("ApplyRefused", "the API server refused a child: quota")


def deployment_says(text: str) -> World:
    world = World(behave=lambda pod: None)
    world.settle()
    world.pass_deadline()
    assert world.deployment is not None
    world.deployment["status"]["conditions"][0]["message"] = text
    return world


def autoscaler_says(text: str, reason: str = "FailedGetResourceMetric") -> World:
    world = World(manifest(serving={"autoscaling": {"minReplicas": 1}}))
    world.settle()
    world.children["HorizontalPodAutoscaler", "whales"]["status"] = {
        "conditions": [
            {
                "type": "ScalingActive",
                "status": "False",
                "reason": reason,
                "message": text,
                "lastTransitionTime": timestamp(BEGIN),
            }
        ]
    }
    world.wait(hours=1)
    return world


def reader_says(text: str) -> World:
    world = World(manifest(entry("first"), entry("second", "b"), approval={}), approvals_unreadable=text)
    world.obj["spec"].pop("approval")
    world.settle()
    world.edit(approval={})
    world.activate("second")
    return world


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        (deployment_says, "Stalled"),
        (autoscaler_says, "AutoscalingInactive"),
        (reader_says, "Stalled"),
    ],
)
def test_a_text_from_outside_is_cut_and_the_next_step_stays(says: Callable[[str], World], kind: str) -> None:
    world = says("\x1b[31m\n" + "x" * 40_000)
    world.settle()
    found = world.condition(kind)
    assert found.status == "True"
    assert len(found.message) <= 32_768
    assert "\ufffd[31m xxx" in found.message
    assert "xxx\u2026. Next: " in found.message
    assert "; runbook: " in found.message


def test_a_reason_from_outside_is_cut() -> None:
    world = autoscaler_says("x", reason="R" * 2000)
    world.settle()
    assert world.condition("AutoscalingInactive").reason == "R" * 1023 + "\u2026"
