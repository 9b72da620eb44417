"""A name that the candidate needs is taken: no candidate runs, what serves goes on, and the message says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import SURE, World, entry, manifest

TAKEN = "Service whales-candidate"
MODELS = entry("first", metrics=SURE), entry("second", "b", metrics=SURE)
SHADOW: dict[str, Any] = {"shadow": {"share": 1.0, "require": {"pictures": 300}}}
CANARY: dict[str, Any] = {"canary": {"weight": 50, "require": {"requests": 100}}}


def staged(*stages: dict[str, Any], **spec: Any) -> World:
    world = World(manifest(*MODELS, rollout={"stages": list(stages)}, **spec), served_kinds=frozenset({"HTTPRoute"}))
    world.settle()
    world.activate("second")
    return world


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("stage", [SHADOW, CANARY])
def test_no_candidate_runs_beside_an_object_of_someone_else(stage: dict[str, Any], has_begun: bool) -> None:
    world = staged(stage, serving={"route": {"parentRefs": [{"name": "public"}]}})
    if has_begun:
        world.settle()
        assert world.candidate is not None
    world.candidate_conflict = TAKEN
    world.children.pop(("Service", "whales-candidate"), None)
    world.settle()
    assert (world.deployed, world.candidate, world.comparison_plan) == ("first", None, None)
    assert not world.clients_reach_candidate
    assert "whales-candidate" not in str(world.children), "no route names it"
    assert world.is_("CandidatePassed") == ("Unknown", "Impossible")
    assert world.condition("CandidatePassed").message == (
        "second 1.0.0: Service whales-candidate exists and is not this resource's, so no candidate can run: rename one of "
        "the two"
    )
    assert world.is_("Stalled") == ("True", "CandidateHeld")
    written = world.writes
    world.wait(hours=1)
    world.settle()
    assert world.writes == written, "it is said once"


def test_a_person_may_promote_a_candidate_whose_name_is_taken() -> None:
    world = staged(SHADOW)
    world.candidate_conflict = TAKEN
    world.settle()
    world.decide_by_person("Promote")
    world.settle()
    assert world.deployed == "second"
    assert world.is_("Ready") == ("True", "Serving")


def test_the_stages_begin_when_the_name_is_free() -> None:
    world = staged(SHADOW)
    world.candidate_conflict = TAKEN
    world.settle()
    world.candidate_conflict = None
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Running")
    assert world.comparison_plan is not None


def test_drift_compares_no_model_if_the_name_is_taken() -> None:
    world = World(manifest(*MODELS, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.identify(0.5)
    world.candidate_conflict = TAKEN
    world.settle()
    assert (world.deployed, world.candidate, world.comparison_plan) == ("second", None, None)
    assert world.status.comparison is None
    assert world.is_("Drifting")[0] == "True"
    assert f"no rollback: {TAKEN} exists and is not this resource's" in world.condition("Drifting").message
    world.candidate_conflict = None
    world.settle()
    assert world.comparison_plan is not None


def test_without_a_candidate_the_name_means_nothing() -> None:
    world = World(manifest(*MODELS), candidate_conflict=TAKEN)
    world.settle()
    world.activate("second")
    world.settle()
    assert (world.deployed, world.is_("Ready")) == ("second", ("True", "Serving"))
    assert TAKEN not in str(world.obj["status"])
