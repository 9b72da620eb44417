"""A comparison: the plan that the serving pods read, and how the operator reads it back if the status is lost."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import SURE, WORSE, World, entry, manifest, model
from support.pods import DIGEST_IN_POD

from cetacean_operator.api.keep_disagreements import KeepDisagreements
from cetacean_operator.api.observed import Object
from cetacean_operator.api.spec import AntiFraud
from cetacean_operator.decisions.comparison import Comparison, compared_model
from cetacean_operator.decisions.identity import MODEL_FIELDS, rollout_of

COMPARISON = Comparison(
    candidate=rollout_of(model("second", None, version="2.1.0"), AntiFraud()),
    candidate_digest="c" * 64,
    served=rollout_of(model("first"), AntiFraud()),
    served_digest="a" * 64,
    share=0.25,
    several_pods=True,
    probability_offset=-0.0125,
    max_latency_ratio=2.5,
    keep_disagreements=KeepDisagreements.model_validate(
        {"persistentVolumeClaim": {"claimName": "pictures"}, "maxItems": 7}
    ),
)
PLAN = {
    "run": COMPARISON.run,
    "share": 0.25,
    "url": "http://whales-candidate.sea.svc",
    "peer_url": "http://whales.sea.svc",
    "candidate": {"name": "second", "version": "2.1.0", "sha256": "c" * 64},
    "served": {"name": "first", "version": "1.0.0", "sha256": "a" * 64},
    "max_latency_ratio": 2.5,
    "probability_offset": -0.0125,
    "keep_disagreements": {"max_items": 7},
}


def test_the_plan_has_which_pictures_to_copy_and_where_to() -> None:
    assert COMPARISON.plan("whales", "sea") == PLAN
    alone = replace(COMPARISON, several_pods=False, keep_disagreements=None)
    assert alone.plan("whales", "sea") == {
        key: value for key, value in PLAN.items() if key not in ("peer_url", "keep_disagreements")
    }


@pytest.mark.parametrize(
    ("change", "another"),
    [
        ({"candidate_digest": "d" * 64}, True),
        ({"served_digest": "d" * 64}, True),
        ({"candidate": rollout_of(model("third", None), AntiFraud())}, True),
        ({"served": rollout_of(model("first"), AntiFraud(threshold=0.75))}, True),
        ({"share": 0.5}, True),
        ({"probability_offset": 0.0}, True),
        ({"max_latency_ratio": 1.5}, True),
        ({"retry": "2026-01-01T00:00:00Z"}, True),
        ({"several_pods": False}, False),
        ({"keep_disagreements": None}, False),
    ],
    ids=str,
)
def test_pods_count_from_zero_only_if_the_pairs_would_mean_something_else(
    change: dict[str, Any], another: bool
) -> None:
    assert (replace(COMPARISON, **change).run != COMPARISON.run) is another


def children(digit: str | None = "a") -> dict[tuple[str, str], Object]:
    """Return the live children while `first`, which served before, is compared with `second`."""
    world = World(
        manifest(entry("first", digit, metrics=SURE), entry("second", "b", metrics=SURE), drift={"onAlarm": "Rollback"})
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.identify(WORSE)
    world.settle()
    return world.children


def compared(found: dict[tuple[str, str], Object]) -> tuple[dict[str, Any], str] | None:
    """Return what a Deployment says about the compared model, and its digest."""
    both = compared_model("whales", found)
    return (both[0].model_dump(include=set(MODEL_FIELDS)), both[1]) if both else None


@pytest.mark.parametrize(
    ("digit", "digest"), [("a", "a" * 64), (None, DIGEST_IN_POD)], ids=["in the registry", "found by its pods"]
)
def test_the_model_before_is_read_from_what_runs(digit: str | None, digest: str) -> None:
    expected = model("first", digit).model_dump(include=set(MODEL_FIELDS))
    found = children(digit)
    assert compared(found) == (expected, digest)
    del found["Deployment", "whales-candidate"]
    assert compared(found) is None
    assert compared({}) is None


def test_without_a_plan_about_this_model_the_digest_of_its_weights_is_not_known() -> None:
    found = children(None)
    ref = "ConfigMap", "whales-monitoring"
    data = found[ref]["data"]
    plan = json.loads(data["monitoring.json"])

    def with_text(text: str) -> dict[tuple[str, str], Object]:
        return found | {ref: {"data": {"monitoring.json": text}}}

    assert compared(with_text(json.dumps(plan))) is not None
    other = copy.deepcopy(plan)
    other["shadow"]["candidate"]["name"] = "another"
    assert compared(with_text(json.dumps(other))) is None
    assert compared(with_text(json.dumps(plan | {"shadow": None}))) is None
    assert compared(with_text("{")) is None
    assert compared(found | {ref: {"data": {}}}) is None
    assert compared(found | {ref: {"data": None}}) is None
    assert compared(found | {ref: {}}) is None
    assert compared({key: child for key, child in found.items() if key != ref}) is None


def test_a_candidate_that_runs_stages_is_not_the_model_before() -> None:
    stage = {"shadow": {"share": 1.0, "require": {"pictures": 300}}, "timeoutSeconds": 3600}
    world = World(manifest(entry("first"), entry("second", "b"), rollout={"stages": [stage]}))
    world.settle()
    world.activate("second")
    world.settle()
    assert world.candidate is not None
    assert compared_model("whales", world.children) is None
