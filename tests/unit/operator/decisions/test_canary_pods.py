"""The number of a candidate's pods in each stage, and why pods cannot give a share."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import manifest

from cetacean_operator.api.spec import Spec, parse_spec
from cetacean_operator.api.stages import Canary, Stage
from cetacean_operator.decisions.canary_pods import candidate_replicas, impossible_canary, pods_for

ROUTE = {"parentRefs": [{"name": "public"}]}


def spec(**serving: Any) -> Spec:
    """Return a spec whose candidate has three pods, unless a canary needs another number."""
    return parse_spec(manifest(serving=serving, rollout={"candidate": {"replicas": 3}})["spec"])


@pytest.mark.parametrize(
    ("stage", "serving", "replicas"),
    [
        ({"shadow": {}}, {"replicas": 9}, 3),
        ({"canary": {"weight": 10}}, {"replicas": 9}, 1),
        ({"canary": {"weight": 50}}, {"replicas": 9}, 9),
        ({"canary": {"weight": 50}}, {"replicas": 9, "route": ROUTE}, 3),
        ({"canary": {"weight": 10}}, {"replicas": 2}, 3),
    ],
    ids=["a shadow", "a canary", "a canary of half", "a route gives the share", "no number of pods gives it"],
)
def test_a_stage_needs_as_many_pods_as_its_share_takes(
    stage: dict[str, Any], serving: dict[str, Any], replicas: int
) -> None:
    assert candidate_replicas(spec(**serving), Stage.model_validate(stage)) == replicas


def test_without_a_policy_a_candidate_has_one_pod() -> None:
    assert candidate_replicas(parse_spec(manifest()["spec"]), Stage.model_validate({"shadow": {}})) == 1


@pytest.mark.parametrize(
    ("weight", "replicas", "pods"),
    [(1, 0, None), (50, 0, None), (99, 0, None), (1, 1, None), (99, 1, 99), (50, 1000, 1000), (1, 1000, 10)],
)
def test_pods_give_a_share_beside_as_many_others_as_a_resource_may_have(
    weight: int, replicas: int, pods: int | None
) -> None:
    assert pods_for(weight, replicas) == pods


@pytest.mark.parametrize(
    ("weight", "serving", "why"),
    [
        (10, {"replicas": 9}, None),
        (10, {"replicas": 3, "route": ROUTE}, None),
        (10, {"replicas": 0, "route": ROUTE, "autoscaling": {}}, None),
        (
            10,
            {"replicas": 9, "autoscaling": {}},
            (
                "a canary of 10 % needs a fixed number of pods, and spec.serving.autoscaling changes it: expected no "
                "autoscaling, or no canary"
            ),
        ),
        (
            10,
            {"replicas": 0},
            "a canary of 10 % needs pods that serve: expected spec.serving.replicas of 1 or more, got 0",
        ),
        (
            10,
            {"replicas": 3},
            (
                "3 pods cannot give a candidate 10 %: expected a weight of 25, 40, 50, 57, 63 or more, or a weight of 10 "
                "with 9 replicas"
            ),
        ),
        (
            1,
            {"replicas": 1},
            (
                "1 pods cannot give a candidate 1 %: expected a weight of 50, 67, 75, 80, 83 or more, or a weight of 1 with "
                "66 replicas"
            ),
        ),
        (
            40,
            {"replicas": 1},
            (
                "1 pods cannot give a candidate 40 %: expected a weight of 50, 67, 75, 80, 83 or more, or a weight of 40 "
                "with 3 replicas"
            ),
        ),
    ],
)
def test_why_pods_cannot_give_a_share_and_what_they_can(weight: int, serving: dict[str, Any], why: str | None) -> None:
    assert impossible_canary(spec(**serving), Canary(weight=weight)) == why
