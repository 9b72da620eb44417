"""Whatever stands in a resource, in its status or in a child: a decision is made, and its status can be written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
from support.full_serving import FULL_SERVING
from support.mutations import places, replaced
from support.operator_world import SURE, World, entry, manifest

from cetacean_operator.api.observed import AnswerCounts, CetaceanModel, DriftReport, SpeciesCount
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.plan import status_as_applied

# JSON from the API server is UTF-8 with finite numbers; answers of pods are another matter (test_pod_responses.py).
HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(["", "x" * 100_000, "1e999", {}, [], {"a": {}}, [[]]]),
)
FIGURES = {
    "identification": {"samples": 100, "topProbabilityMean": 0.8},
    "bySpecies": [
        {"species": "orca", "samples": 60, "speciesAccuracy": 0.9, "named": 60, "namedTopProbabilityMean": 0.8},
        {"species": "beluga", "samples": 40, "speciesAccuracy": 0.9},
    ],
    "reference": {"cetaceanScore": [5] * 20, "topProbability": [5] * 20},
}
ANSWERS = AnswerCounts(
    answered=60,
    identified=40,
    low_confidence=40,
    cetacean_score=(60, *[0] * 19),
    top_probability=(40, *[0] * 19),
    species=(SpeciesCount("orca", 30, 600), SpeciesCount("minke", 10, 200)),
)
FULL = manifest(
    entry("first", metrics=FIGURES),
    entry("second", "b"),
    serving=FULL_SERVING | {"route": {"parentRefs": [{"name": "public"}], "hostnames": ["whales.example.org"]}},
    antiFraud={"threshold": 0.5, "calibratedAt": "2026-01-01"},
    gates={"minTNR": 0.9, "minTPR": 0.85, "maxRegression": 0.02},
    drift={
        "window": 100,
        "minSamples": 10,
        "alarmDrop": 0.1,
        "signals": {"window": 100, "bySpecies": {"maxDrop": 0.1, "minSamples": 20}},
    },
)


def served() -> World:
    """A world in which the first model serves and drifts, with a status and children."""
    world = World(FULL, served_kinds=frozenset({"HTTPRoute"}))
    world.settle()
    for pod in world.pods:
        pod.drift = DriftReport(samples=60, mean=0.02, answers=ANSWERS)
    world.settle()
    return world


SERVED = served()
SPEC_PLACES = sorted(places(FULL["spec"]), key=str)
STATUS_PLACES = sorted(places(SERVED.obj["status"]), key=str)


def decided(obj: dict[str, Any], observed: Any = None) -> None:
    plan = decide(CetaceanModel.of(obj), observed or SERVED.observed(), SERVED.now)
    to_json(status_as_applied(plan.status))
    to_json([plan.annotations, plan.apply])
    for event in plan.events:
        event.message.encode()


@settings(max_examples=300)
@given(st.sampled_from(SPEC_PLACES), HOSTILE)
def test_no_value_in_the_spec_ends_a_decision(path: tuple[Any, ...], hostile: Any) -> None:
    decided({**SERVED.obj, "spec": replaced(SERVED.obj["spec"], path, hostile)})


@settings(max_examples=200)
@given(st.sampled_from(STATUS_PLACES), HOSTILE)
def test_no_value_in_the_status_ends_a_decision(path: tuple[Any, ...], hostile: Any) -> None:
    decided({**SERVED.obj, "status": replaced(SERVED.obj["status"], path, hostile)})


def test_an_empty_text_at_any_place_of_the_status_ends_no_decision() -> None:
    for path in STATUS_PLACES:
        decided({**SERVED.obj, "status": replaced(SERVED.obj["status"], path, "")})


def judged() -> World:
    """A world with a record of each kind: a hotfix was promoted after its stages, and another model runs its own."""
    canary = {"canary": {"weight": 50, "require": {"requests": 10, "holdForSeconds": 60}}}
    stages = [{"shadow": {"share": 1.0, "require": {"pictures": 300}}}, canary]
    none = {"approvals": 0, "metrics": "Optional", "qa": False}
    models = [entry("first", "a"), *(entry(f"m{digit}", digit, author="alice", metrics=SURE) for digit in "bcd")]
    world = World(
        manifest(*models, rollout={"stages": stages}, approval=dict.fromkeys(("patch", "minor", "major"), none))
    )
    world.settle()
    world.activate("mb")
    world.settle()
    world.decide_by_person("Abort")
    world.settle()
    world.activate("mc")
    world.settle()
    world.shadow(2000)
    world.settle()
    world.decide_by_person("Promote")
    world.settle()
    world.activate("md")
    world.settle()
    world.shadow(2000)
    world.settle()
    world.obj["status"]["history"][0]["release"]["type"] = "Hotfix"
    assert world.deployment is not None
    annotations = world.deployment["metadata"]["annotations"]
    annotations[PROMOTION] = annotations[PROMOTION].replace('"type": "Patch"', '"type": "Hotfix"')
    assert all(text in annotations[PROMOTION] for text in ("Hotfix", "tpr", "Abort", "Promote"))
    return world


PROMOTION, RECORD = "ecomarineai.org/promotion", "ecomarineai.org/stages"
JUDGED = judged()
RECORDS = (("whales", PROMOTION), ("whales-candidate", RECORD))


def recorded(name: str, annotation: str) -> Any:
    return json.loads(JUDGED.children["Deployment", name]["metadata"]["annotations"][annotation])


RECORD_PLACES = [(*record, path) for record in RECORDS for path in sorted(places(recorded(*record)), key=str)]
HOSTILE_IN_TEXT = ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "NaN", "inf", float("nan"), float("inf"))
"""Times and numbers that a parser may take and nothing can calculate with."""


def decided_with(place: tuple[str, str, tuple[Any, ...]], hostile: Any, *, lost: bool) -> None:
    name, annotation, path = place
    observed = JUDGED.observed()
    annotations = observed.children["Deployment", name]["metadata"]["annotations"]
    annotations[annotation] = json.dumps(replaced(recorded(name, annotation), path, hostile))
    for active in ("md", "first"):
        obj = {**JUDGED.obj, "status": {} if lost else JUDGED.obj["status"]}
        registry = obj["spec"]["registry"] | {"active": active}
        decided({**obj, "spec": obj["spec"] | {"registry": registry}}, observed)


@settings(max_examples=200)
@given(st.sampled_from(RECORD_PLACES), HOSTILE, st.booleans())
def test_no_value_in_a_record_of_a_deployment_ends_a_decision(
    place: tuple[str, str, tuple[Any, ...]], hostile: Any, lost: bool
) -> None:
    decided_with(place, hostile, lost=lost)


@pytest.mark.parametrize("hostile", HOSTILE_IN_TEXT, ids=repr)
def test_no_time_and_no_number_in_a_record_of_a_deployment_ends_a_decision(hostile: Any) -> None:
    for place in RECORD_PLACES:
        decided_with(place, hostile, lost=True)


@pytest.mark.parametrize("hostile", HOSTILE_IN_TEXT[:4])
def test_no_time_in_the_status_of_stages_ends_a_decision(hostile: Any) -> None:
    for path in places(JUDGED.obj["status"]):
        decided({**JUDGED.obj, "status": replaced(JUDGED.obj["status"], path, hostile)}, JUDGED.observed())
