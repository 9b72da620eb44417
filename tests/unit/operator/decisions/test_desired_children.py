"""Which children are applied, which stay as they are, and which are deleted: step by step, as the cluster sees it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import BEGIN, FEWEST_PAIRS, SURE, WORSE, World, entry, manifest

from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.ownership import Ref
from cetacean_operator.decisions.plan import Plan

SHADOW: dict[str, Any] = {"shadow": {"share": 1.0, "require": {"pictures": 300}}}
CANARY: dict[str, Any] = {"canary": {"weight": 50, "require": {"requests": 100}}}
ROUTE = {"parentRefs": [{"name": "public"}]}
OWN: set[Ref] = {("ConfigMap", "whales-monitoring"), ("Deployment", "whales"), ("Service", "whales")}
CANDIDATE: set[Ref] = {("Deployment", "whales-candidate"), ("Service", "whales-candidate")}


def one(**serving: Any) -> World:
    """`first` serves."""
    world = World(manifest(entry("first"), serving=serving), served_kinds=frozenset({"ServiceMonitor"}))
    world.settle()
    return world


def staged(stage: dict[str, Any], **serving: Any) -> World:
    """`first` serves, and `second` is its candidate."""
    models = entry("first"), entry("second", "b"), entry("third", "c")
    world = World(
        manifest(*models, rollout={"stages": [stage]}, serving=serving), served_kinds=frozenset({"HTTPRoute"})
    )
    world.settle()
    world.activate("second")
    world.settle()
    assert set(world.children) >= OWN | CANDIDATE
    return world


def applied(plan: Plan) -> set[Ref]:
    return {(child["kind"], child["metadata"]["name"]) for child in plan.apply}


def deleted(plan: Plan) -> set[Ref]:
    return {(child.kind, child.name) for child in plan.delete}


def report_route(world: World, *, behind: int = 0) -> None:
    """Let the Gateway report on the newest generation of the HTTPRoute, or on one before."""
    route = world.children["HTTPRoute", "whales"]
    conditions = [{"type": "Accepted", "observedGeneration": route["metadata"]["generation"] - behind}]
    route["status"] = {"parents": [{"parentRef": {"name": "public"}, "conditions": conditions}]}


def weights(world: World) -> list[int]:
    (rule,) = world.children["HTTPRoute", "whales"]["spec"]["rules"]
    return [backend["weight"] for backend in rule["backendRefs"]]


# --- What there is to apply -------------------------------------------------------------------------------------------


def test_children_are_applied_until_they_are_as_they_must_be() -> None:
    world = World()
    plan = world.decide()
    assert (applied(plan), deleted(plan)) == (OWN, set())
    world.settle()
    plan = world.decide()
    assert (applied(plan), deleted(plan)) == (set(), set())


def test_a_record_that_says_the_same_in_other_words_stays() -> None:
    world = one()
    assert world.deployment is not None
    annotations = world.deployment["metadata"]["annotations"]
    record = json.loads(annotations["ecomarineai.org/promotion"])
    assert [promotion["model"] for promotion in record["promotions"]] == ["first"]
    annotations["ecomarineai.org/promotion"] = json.dumps(record, indent=1)
    annotations["ecomarineai.org/applied-digest"] = "0" * 16
    (deployment,) = world.decide().apply
    assert deployment["metadata"]["annotations"]["ecomarineai.org/promotion"] == json.dumps(record, indent=1)


CLAIM = {"weightsCache": {"persistentVolumeClaim": {"claimName": "weights"}}, "prefetch": "Candidate"}


def test_before_a_model_may_serve_only_jobs_are_applied_and_deleted() -> None:
    models = entry("first", metrics={"tnr": 0.5}), entry("second", "b", prefetch=True)
    world = World(manifest(*models, serving=CLAIM))
    service: Object = {"kind": "Service", "metadata": {"name": "whales", "uid": "u", "labels": {}}}
    service["metadata"]["annotations"] = {"ecomarineai.org/applied-digest": "0" * 16}
    world.children["Service", "whales"] = service
    plan = world.decide()
    (job,) = applied(plan)
    assert (job[0], deleted(plan)) == ("Job", set())
    assert [child["kind"] for child in plan.children] == ["Job"]
    world.reconcile()
    plan = world.decide()
    assert (applied(plan), deleted(plan)) == (set(), set())
    world.edit(serving={"prefetch": "Never"})
    plan = world.decide()
    assert (applied(plan), deleted(plan)) == (set(), {job})


# --- What is deleted --------------------------------------------------------------------------------------------------


def with_conflict(world: World) -> Plan:
    """The plan if an object of someone else has the resource's name."""
    observed = replace(world.observed(), name_conflict="Service whales")
    return decide(CetaceanModel.of(world.obj), observed, BEGIN)


def test_a_resource_that_has_never_served_leaves_nothing_beside_an_object_of_the_same_name() -> None:
    world = World()
    for child in world.decide().apply:
        world.apply(child)
    assert deleted(with_conflict(world)) == OWN


def test_jobs_of_a_resource_whose_name_is_taken_are_deleted_too() -> None:
    world = World(manifest(entry("first", metrics={"tnr": 0.5}), entry("second", "b", prefetch=True), serving=CLAIM))
    world.reconcile()
    assert [child.kind for child in with_conflict(world).delete] == ["Job"]


@pytest.mark.parametrize("ready", [True, False])
def test_a_resource_that_has_served_keeps_its_children_whatever_its_pods_do(ready: bool) -> None:
    world = one()
    for pod in world.pods:
        pod.ready = ready
    assert deleted(with_conflict(world)) == set()


def test_a_resource_whose_status_was_lost_keeps_its_children_while_a_pod_is_ready() -> None:
    world = one()
    world.obj["status"] = {}
    for pod in world.pods:
        pod.reports = {"digest": None}
    assert deleted(with_conflict(world)) == set()


def test_a_child_that_is_being_deleted_is_not_deleted_again() -> None:
    world = one(replicas=2)
    world.edit(serving={"replicas": 1})
    budget = ("PodDisruptionBudget", "whales")
    assert deleted(world.decide()) == {budget}
    world.children[budget]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert deleted(world.decide()) == set()


def test_a_child_is_not_deleted_because_its_kind_is_not_served() -> None:
    """The API server has just started and does not know the CRD yet, or the kind is gone with all its objects."""
    world = one(serviceMonitor={})
    world.served_kinds = frozenset()
    world.edit(serving={"serviceMonitor": None})
    assert deleted(world.decide()) == set()
    world.served_kinds = frozenset({"ServiceMonitor"})
    assert deleted(world.decide()) == {("ServiceMonitor", "whales")}


# --- The candidate ----------------------------------------------------------------------------------------------------


def test_the_model_before_runs_beside_one_that_drifts_and_goes_when_it_serves_again() -> None:
    world = World(
        manifest(entry("first", metrics=SURE), entry("second", "b", metrics=SURE), drift={"onAlarm": "Rollback"})
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.identify(WORSE)
    world.settle()
    assert set(world.children) == OWN | CANDIDATE
    world.compare(surer=FEWEST_PAIRS)
    plan = world.decide()
    assert deleted(plan) == CANDIDATE, "it has run no stages: what serves replaces its pods at once"
    world.settle()
    assert (world.deployed, set(world.children)) == ("first", OWN)


def test_another_candidate_is_made_after_the_one_before_is_gone() -> None:
    world = staged(SHADOW)
    world.activate("third")
    plan = world.decide()
    assert deleted(plan) == {("Deployment", "whales-candidate")}
    assert {(child["kind"], child["metadata"]["name"]) for child in plan.children} == (OWN | CANDIDATE) - deleted(plan)
    world.reconcile()
    plan = world.decide()
    assert (applied(plan), deleted(plan)) == ({("Deployment", "whales-candidate")}, set())


def test_a_promoted_candidate_stays_until_the_deployment_serves_it() -> None:
    world = staged(SHADOW)
    world.behave = lambda _pod: None  # the new pods take their time
    world.shadow(1000)
    world.settle()
    assert (world.deployed, set(world.children)) == ("second", OWN | CANDIDATE)
    assert deleted(world.decide()) == set()
    for pod in world.pods:
        pod.ready = True
    world.settle()
    assert (world.deployed, set(world.children)) == ("second", OWN)


def test_a_candidate_is_deleted_at_once_when_what_serves_is_wanted_again() -> None:
    world = staged(SHADOW)
    for pod in world.pods:
        pod.ready = False  # the Deployment is not complete
    world.activate("first")
    assert deleted(world.decide()) == CANDIDATE


def test_a_candidate_gets_its_share_of_a_route_when_the_gateway_knows_it_and_stays_until_it_has_none() -> None:
    world = staged(CANARY, route=ROUTE)
    assert weights(world) == [50, 50]
    report_route(world)
    assert applied(world.decide()) == set()
    world.activate("first")
    plan = world.decide()
    assert deleted(plan) == set(), "the live HTTPRoute leads to it"
    world.reconcile()
    report_route(world, behind=1)
    world.settle()
    assert (weights(world), set(world.children)) == ([100, 0], OWN | CANDIDATE | {("HTTPRoute", "whales")})
    report_route(world)
    world.settle()
    assert (weights(world), set(world.children)) == ([100], OWN | {("HTTPRoute", "whales")})


def test_a_gateway_that_reports_nothing_keeps_no_candidate_without_a_route() -> None:
    world = staged(CANARY, route=ROUTE)
    report_route(world, behind=1)
    world.edit(serving={"route": None})
    world.activate("first")
    assert deleted(world.decide()) == CANDIDATE | {("HTTPRoute", "whales")}


def test_a_gateway_whose_api_is_gone_keeps_no_candidate() -> None:
    world = staged(CANARY, route=ROUTE)
    report_route(world, behind=1)
    world.served_kinds = frozenset()
    world.activate("first")
    assert deleted(world.decide()) == CANDIDATE
