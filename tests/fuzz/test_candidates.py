"""Whatever stands in the annotations of a candidate, and in a person's decision: no unproven model replaces what serves."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st
from pydantic_core import to_json
from support.fuzzing import bounded, fuzzed
from support.mutations import as_hostile_text, with_hostile_values
from support.operator_world import World, entry, manifest

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Observed
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.plan import Plan, status_as_applied

CANDIDATE = ("Deployment", "whales-candidate")
STAGES: list[dict[str, Any]] = [{"shadow": {"share": 1.0}}, {"canary": {"weight": 50}}]


def running() -> World:
    """A world in which the second model has passed its shadow, and clients reach it."""
    world = World(manifest(entry("first"), entry("second", "b"), rollout={"stages": STAGES}))
    world.settle()
    world.activate("second")
    world.settle()
    world.shadow(1000)
    world.settle()
    assert world.clients_reach_candidate
    return world


WORLD = running()
RECORD = json.loads(WORLD.children[CANDIDATE]["metadata"]["annotations"][names.ANNOTATION_STAGES])
DECISION = {"decision": "Promote", "model": "second", "rollout": "0123456789", "by": "a", "at": "", "why": None}


def decided(obj: dict[str, Any], observed: Observed) -> Plan:
    """Decide, and check that the result can be written, and that what serves goes on."""
    with bounded():
        plan = decide(CetaceanModel.of(obj), observed, WORLD.now)
        to_json([status_as_applied(plan.status), plan.annotations, plan.apply])
    for child in plan.apply:
        if (child["kind"], child["metadata"]["name"]) == ("Deployment", "whales"):
            annotations = child["spec"]["template"]["metadata"]["annotations"]
            assert annotations[names.ANNOTATION_MODEL] == "first"
    return plan


@fuzzed(as_hostile_text(RECORD).map(lambda raw: raw.decode(errors="replace")) | st.text(), examples=150)
def test_no_text_in_the_record_of_stages_promotes_a_candidate(record: str) -> None:
    observed = WORLD.observed()
    children = dict(observed.children)
    children[CANDIDATE]["metadata"]["annotations"][names.ANNOTATION_STAGES] = record
    decided(WORLD.obj, observed)


@fuzzed(as_hostile_text(DECISION).map(lambda raw: raw.decode(errors="replace")) | st.text(), examples=100)
def test_no_text_in_the_annotation_of_a_decision_ends_a_decision(text: str) -> None:
    metadata = {**WORLD.obj["metadata"], "annotations": {names.ANNOTATION_DECISION: text}}
    decided({**WORLD.obj, "metadata": metadata}, WORLD.observed())


@fuzzed(with_hostile_values(copy.deepcopy(WORLD.obj["spec"]["rollout"])), examples=100)
def test_no_values_in_the_stages_end_a_decision(rollout: Any) -> None:
    obj = {**WORLD.obj, "spec": {**WORLD.obj["spec"], "rollout": rollout}}
    with bounded():
        decide(CetaceanModel.of(obj), WORLD.observed(), WORLD.now)
