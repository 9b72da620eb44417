"""Stages beside approvals, hotfixes and drift: what comes first, and what skips what."""

from __future__ import annotations

from typing import Any

import pytest
from support.approvals import approval_object
from support.operator_world import SURE, World, entry, manifest

SHADOW: dict[str, Any] = {"shadow": {"share": 1.0}, "timeoutSeconds": 3600}
CANARY: dict[str, Any] = {"canary": {"weight": 50}, "timeoutSeconds": 3600}
NEXT = {"version": "1.0.1", "metricsSnapshot": "reports/second.json"}
ENOUGH = 1000


def asked(
    *stages: dict[str, Any], approval: dict[str, Any] | None = None, on_failure: str = "Return", **candidate: Any
) -> World:
    """`first` serves, and `second` is active under spec.approval and spec.rollout."""
    world = World(manifest(entry("first"), entry("second", "b", **NEXT | candidate)))
    world.settle()
    world.edit(approval=approval or {}, rollout={"stages": list(stages or (SHADOW, CANARY)), "onFailure": on_failure})
    world.activate("second")
    world.settle()
    return world


def approve(world: World) -> None:
    world.approvals.append(approval_object("alice", at=world.now))
    world.settle()


def test_no_pod_of_a_candidate_starts_before_its_approvals() -> None:
    world = asked()
    assert (world.candidate, world.deployed) == (None, "first")
    assert world.is_("Stalled") == ("True", "ApprovalMissing")
    assert world.is_("CandidatePassed") == ("Unknown", "NoCandidate")
    approve(world)
    assert world.candidate is not None
    assert world.is_("CandidatePassed") == ("Unknown", "Running")


def test_shadow_first_lets_shadows_run_before_and_a_canary_never() -> None:
    world = asked(approval={"shadowFirst": True})
    assert world.candidate is not None
    assert world.is_("Stalled") == ("True", "ApprovalMissing")
    world.shadow(ENOUGH)
    world.settle()
    found = world.status.candidate
    assert found is not None
    assert ([one.kind for one in found.passed], found.stage) == (["Shadow"], None)
    assert "1 of 2 stages passed" in found.message
    assert "it waits for approval" in found.message
    assert not world.clients_reach_candidate
    world.wait(days=9)
    world.settle()
    assert world.is_("Stalled") == ("True", "ApprovalMissing"), "to wait for persons takes no time of a stage"
    approve(world)
    assert world.clients_reach_candidate
    world.approvals.clear()
    world.settle()
    assert not world.clients_reach_candidate, "an approval that is withdrawn takes the clients back"


@pytest.mark.parametrize(("on_failure", "reason"), [("Return", "CandidateReturned"), ("Hold", "CandidateHeld")])
def test_a_candidate_that_fails_before_its_approval_is_shown_as_failed_with_an_event(
    on_failure: str, reason: str
) -> None:
    world = asked(approval={"shadowFirst": True}, on_failure=on_failure)
    world.shadow(ENOUGH, species=ENOUGH)
    world.settle()
    for kind in ("Stalled", "RegistryDiverged"):
        assert world.is_(kind) == ("True", reason)
    assert world.is_("Approved") == ("False", "ApprovalMissing")
    assert "same species" in world.condition("Stalled").message
    assert world.reasons[-1] == reason
    approve(world)
    assert world.is_("Stalled") == ("True", reason)
    assert world.reasons.count(reason) == 1


def test_a_canary_at_the_beginning_waits_for_approval_also_with_shadow_first() -> None:
    assert asked(CANARY, SHADOW, approval={"shadowFirst": True}).candidate is None


def test_shadows_alone_wait_for_approval_at_their_end() -> None:
    world = asked(SHADOW, approval={"shadowFirst": True})
    world.shadow(ENOUGH)
    world.settle()
    assert (world.deployed, world.is_("Stalled")) == ("first", ("True", "ApprovalMissing"))
    approve(world)
    assert (world.deployed, world.candidate) == ("second", None)


def test_a_person_cannot_promote_what_nobody_has_approved() -> None:
    world = asked(approval={"shadowFirst": True})
    world.decide_by_person("Promote")
    world.settle()
    assert world.deployed == "first"
    approve(world)
    assert world.deployed == "second"


def test_a_hotfix_skips_the_stages_only_if_the_policy_says_so() -> None:
    world = asked(hotfix=True)
    approve(world)
    assert (world.deployed, world.candidate is not None) == ("first", True)
    world = asked(approval={"hotfix": {"skip": ["Stages"]}}, hotfix=True)
    approve(world)
    assert (world.deployed, world.candidate) == ("second", None)
    assert "second" in world.started


def test_while_another_model_waits_drift_is_shown_and_the_condition_says_why_nothing_is_compared() -> None:
    models = entry("first", metrics=SURE), entry("second", "b", metrics=SURE), entry("bad", "c", metrics={"tnr": 0.1})
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}))
    world.settle()
    for name in ("second", "bad"):
        world.activate(name)
        world.settle()
    world.identify(0.5)
    world.settle()
    assert (world.deployed, world.is_("Drifting")[0], world.candidate) == ("second", "True", None)
    assert (
        "; no rollback: the registry names bad 1.0.0, which does not serve, and only a model that it names is compared "
        "with the one before: name second 1.0.0 again"
    ) in world.condition("Drifting").message


def test_a_changed_active_ends_the_comparison_of_drift_and_the_stages_begin_without_it() -> None:
    models = entry("first", metrics=SURE), entry("second", "b", metrics=SURE), entry("third", "c", metrics=SURE)
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.identify(0.5)
    world.settle()
    assert [pod.model for pod in world.candidate_pods] == ["first"], "drift compares the model before"
    world.edit(rollout={"stages": [SHADOW]})
    world.activate("third")
    world.settle()
    assert [pod.model for pod in world.candidate_pods] == ["third"]
    assert (world.status.comparison, world.deployed) == (None, "second")
    assert world.is_("Drifting")[0] == "True", "the alarm stands"
    world.activate("second")
    world.settle()
    assert [pod.model for pod in world.candidate_pods] == ["first"]
    assert world.status.candidate is None


def test_the_longest_name_that_leaves_room_for_the_candidate_runs_stages() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), rollout={"stages": [SHADOW]}))
    world.obj["metadata"]["name"] = "w" * 53
    world.settle()
    world.activate("second")
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Running")
    assert world.candidate is not None
    assert world.candidate["metadata"]["name"] == "w" * 53 + "-candidate", "63 letters, the most of a label"


def test_a_name_that_leaves_no_room_for_the_candidate_is_held_with_the_numbers() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), rollout={"stages": [SHADOW]}))
    world.obj["metadata"]["name"] = "w" * 54
    world.settle()
    world.activate("second")
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Impossible")
    assert "expected at most 53 letters, got 54" in world.condition("CandidatePassed").message
    assert (world.deployed, world.candidate) == ("first", None)
