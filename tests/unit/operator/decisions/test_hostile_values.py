"""Whatever stands in a resource, in its status or in a child: a decision is made, and its status can be written."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
from support.full_serving import FULL_SERVING
from support.mutations import places, replaced
from support.operator_world import World, entry, manifest

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
    world = World(FULL, optional_kinds=frozenset({"HTTPRoute"}))
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
