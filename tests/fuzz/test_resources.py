"""Whatever stands in a resource, in its children or in their annotations: a decision is made and can be written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from pydantic_core import to_json
from support.full_serving import FULL_SERVING
from support.fuzzing import bounded, fuzzed
from support.mutations import SCALARS, VALUES, as_hostile_text, with_hostile_values
from support.operator_world import World, entry, manifest

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.plan import Plan, status_as_applied

LONGEST_STATUS_MESSAGE = 32_768
"""Characters that the CRD accepts in a condition's message."""
LONGEST_EVENT = 1024
"""Characters that the API server accepts in an Event's note."""
FULL = manifest(
    entry("first"),
    entry("second", "b", backbone="x", input_size=64, files={"encoder_classes.npy": "c" * 64}),
    serving=FULL_SERVING,
    antiFraud={"threshold": 0.5, "calibratedAt": "2026-01-01"},
    gates={"minTNR": 0.9, "minTPR": 0.85, "maxRegression": 0.02},
    drift={"window": 100, "minSamples": 10, "alarmDrop": 0.1},
)


def served() -> World:
    """A world in which the second model has replaced the first, with a status, annotations and children."""
    world = World(copy.deepcopy(FULL))
    world.settle()
    world.activate("second")
    world.settle()
    return world


SERVED = served()
DEPLOYMENT = ("Deployment", "whales")
RECORD = json.loads(SERVED.children[DEPLOYMENT]["metadata"]["annotations"][names.ANNOTATION_PROMOTION])


def decided(obj: Object, *, children: dict[tuple[str, str], Object] | None = None) -> Plan:
    """Decide, and check that the result can be written."""
    observed = SERVED.observed()
    if children is not None:
        observed = type(observed)(children, observed.pods)
    with bounded():
        plan = decide(CetaceanModel.of(obj), observed, SERVED.now)
        status = status_as_applied(plan.status)
        to_json([status, plan.annotations, plan.apply])
    for condition in status.get("conditions") or ():
        assert len(condition["message"]) <= LONGEST_STATUS_MESSAGE
    for event in plan.events:
        event.message.encode()
    return plan


@fuzzed(with_hostile_values(FULL["spec"]), examples=150)
def test_no_values_in_the_spec_end_a_decision(spec: Any) -> None:
    decided({**SERVED.obj, "spec": spec})


@fuzzed(with_hostile_values(SERVED.obj["status"]), examples=150)
def test_no_values_in_the_status_end_a_decision(status: Any) -> None:
    decided({**SERVED.obj, "status": status})


@fuzzed(as_hostile_text(RECORD).map(lambda raw: raw.decode(errors="replace")) | st.text(), examples=150)
def test_no_text_in_the_record_of_promotions_ends_a_decision_or_removes_what_serves(record: str) -> None:
    children = copy.deepcopy(SERVED.children)
    children[DEPLOYMENT]["metadata"]["annotations"][names.ANNOTATION_PROMOTION] = record
    plan = decided(SERVED.obj, children=children)
    assert not [ref for ref in plan.delete if ref.kind == "Deployment"]


@st.composite
def _children(draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[tuple[str, str], Object]:
    """Children whose texts and numbers people have changed; the API server keeps their types."""
    children = copy.deepcopy(SERVED.children)
    ref = draw(st.sampled_from(sorted(children)))
    child = children[ref]
    labels = draw(st.dictionaries(st.sampled_from((names.LABEL_MODEL, "a")), st.text(max_size=10), max_size=2))
    known = sorted(child["metadata"].get("annotations", {}))
    notes = draw(
        st.dictionaries(st.sampled_from((*known, names.ANNOTATION_APPLIED, "a")), st.text(max_size=40), max_size=3)
    )
    child["metadata"]["labels"] = {**child["metadata"].get("labels", {}), **labels}
    child["metadata"]["annotations"] = {**child["metadata"].get("annotations", {}), **notes}
    if ref == DEPLOYMENT:
        container = child["spec"]["template"]["spec"]["containers"][0]
        container["env"] = draw(
            st.lists(
                st.fixed_dictionaries({"name": st.text(max_size=9)}, optional={"value": st.text(max_size=9)}),
                max_size=3,
            )
        )
        child["spec"]["replicas"] = draw(st.integers(0, 2**31 - 1))
        child["status"] = draw(with_hostile_values({"replicas": 1, "observedGeneration": 1}, st.integers(0, 2**63 - 1)))
    return children


@fuzzed(_children(), examples=100)
def test_no_change_of_a_child_ends_a_decision(children: dict[tuple[str, str], Object]) -> None:
    decided(SERVED.obj, children=children)


@fuzzed(
    st.dictionaries(st.text(max_size=20) | st.just(names.ANNOTATION_PROMOTION), st.text(max_size=50), max_size=4),
    examples=60,
)
def test_no_annotation_of_the_resource_ends_a_decision(annotations: dict[str, str]) -> None:
    decided({**SERVED.obj, "metadata": {**SERVED.obj["metadata"], "annotations": annotations}})


@fuzzed(
    st.tuples(with_hostile_values(FULL["spec"], SCALARS), with_hostile_values(SERVED.obj["status"], VALUES)),
    examples=60,
)
def test_a_decision_about_the_same_state_is_the_same(case: tuple[Any, Any]) -> None:
    spec, status = case
    obj = {**SERVED.obj, "spec": spec, "status": status}
    first, second = decided(copy.deepcopy(obj)), decided(copy.deepcopy(obj))
    assert status_as_applied(first.status) == status_as_applied(second.status)
    assert to_json(first.apply) == to_json(second.apply)
