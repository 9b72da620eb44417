"""The canary by pods: the share that whole pods give, and the verdict by the answers to clients."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operator_world import BEGIN, World, entry, manifest
from support.pods import NODE_RESTARTED, FakePod, Scraped, ready_pod

from cetacean_operator.api.observed import ContainerFailure, Pod, ServiceReport
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.api.stages import CanaryRequirement
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.canary_pods import impossible_canary, pods_for
from cetacean_operator.decisions.canary_verdict import Answered, answered, judge_canary
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.shadow_verdict import Outcome
from cetacean_operator.decisions.stage_input import Pair, StageInput
from cetacean_operator.decisions.stage_judgement import judge_stage
from cetacean_operator.decisions.stage_record import CanaryBegin, PodCounters, StageRecord, read_stage_record

REQUIRE = CanaryRequirement(requests=100, hold_for_seconds=600)
CANARY: dict[str, Any] = {
    "canary": {"weight": 50, "require": {"requests": 100, "holdForSeconds": 600}},
    "timeoutSeconds": 7200,
}
MODELS = entry("first"), entry("second", "b")


def canary(stage: dict[str, Any] | None = None, *, serving: dict[str, Any] | None = None, **rollout: Any) -> World:
    """`first` serves, and `second` is a canary."""
    spec = {"stages": [stage or CANARY]} | rollout
    world = World(manifest(*MODELS, rollout=spec, serving={"networkPolicy": {}} | (serving or {})))
    world.settle()
    world.activate("second")
    world.settle()
    return world


def outcome(world: World) -> tuple[str | None, list[str]]:
    found = world.status.candidate
    return found.verdict if found else None, [one.reason for one in world.status.returned]


# --- The share --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "replicas", "pods"),
    [(50, 1, 1), (10, 9, 1), (25, 3, 1), (33, 2, 1), (67, 1, 2), (50, 4, 4), (10, 3, None), (1, 99, 1), (10, 0, None)],
)
def test_pods_give_a_share_to_the_nearest_percent(weight: int, replicas: int, pods: int | None) -> None:
    assert pods_for(weight, replicas) == pods


@given(st.integers(1, 99), st.integers(1, 200))
def test_the_number_of_pods_is_the_only_right_one(weight: int, replicas: int) -> None:
    def share(number: int) -> int:
        return math.floor(100 * number / (number + replicas) + 0.5)

    found, most = pods_for(weight, replicas), 100 * replicas + 1
    if found is None:
        assert all(share(number) != weight for number in range(1, most))
    else:
        assert share(found) == weight


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        (
            {"replicas": 3},
            "3 pods cannot give a candidate 10 %: expected a weight of 25, 40, 50, 57, 63 or more, or a weight of 10 with",
        ),
        ({"replicas": 0}, "expected spec.serving.replicas of 1 or more, got 0"),
        ({"autoscaling": {"minReplicas": 9}}, "spec.serving.autoscaling changes it"),
    ],
    ids=["three pods", "none", "an autoscaler"],
)
def test_a_share_that_pods_cannot_give_is_refused_before_the_first_stage(serving: dict[str, Any], message: str) -> None:
    stages = [{"shadow": {}}, {"canary": {"weight": 10}}]
    spec = parse_spec(manifest(serving=serving, rollout={"stages": stages})["spec"])
    assert spec.rollout is not None
    assert spec.rollout.stages[1].canary is not None
    assert message in (impossible_canary(spec, spec.rollout.stages[1].canary) or "")
    world = World(manifest(*MODELS, rollout={"stages": stages}))
    world.settle()
    world.edit(serving=serving)
    world.activate("second")
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Impossible")
    assert message in world.condition("CandidatePassed").message
    assert (world.is_("Stalled"), world.candidate) == (("True", "CandidateHeld"), None)
    world.edit(serving={"replicas": 9, "autoscaling": None})
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Running"), "a share that pods can give begins by itself"


def test_a_route_gives_any_share_beside_any_number_of_pods_and_an_autoscaler() -> None:
    serving = {"replicas": 3, "autoscaling": {"minReplicas": 3}, "route": {"parentRefs": [{"name": "public"}]}}
    world = World(
        manifest(*MODELS, rollout={"stages": [{"canary": {"weight": 10}}]}, serving=serving),
        served_kinds=frozenset({"HTTPRoute"}),
    )

    def backends() -> list[tuple[str, int]]:
        (rule,) = world.children["HTTPRoute", "whales"]["spec"]["rules"]
        return [(one["name"], one["weight"]) for one in rule["backendRefs"]]

    world.settle()
    assert backends() == [("whales", 100)]
    world.activate("second")
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Running")
    assert backends() == [("whales", 90), ("whales-candidate", 10)]
    assert not world.clients_reach_candidate, "the Service N leads to the pods of the model that serves alone"
    assert len(world.candidate_pods) == 1
    world.activate("first")
    world.settle()
    assert backends() == [("whales", 100)]
    assert world.candidate is None


def test_a_gateway_learns_of_the_candidate_before_its_first_request_and_forgets_it_after_its_last() -> None:
    world = World(
        manifest(
            *MODELS,
            rollout={"stages": [{"canary": {"weight": 10}}]},
            serving={"route": {"parentRefs": [{"name": "public"}]}},
        ),
        served_kinds=frozenset({"HTTPRoute"}),
    )

    def reports(generation: int) -> None:
        conditions = [{"type": "Accepted", "status": "True", "observedGeneration": generation}]
        route = world.children["HTTPRoute", "whales"]
        route["status"] = {"parents": [{"parentRef": {"name": "public"}, "conditions": conditions}]}

    def route_and_candidate(*, reported: bool) -> tuple[list[int], bool]:
        generation = world.children["HTTPRoute", "whales"]["metadata"]["generation"]
        reports(generation if reported else generation - 1)
        world.settle()
        return weights(world), world.candidate is not None

    world.settle()
    assert route_and_candidate(reported=True) == ([100], False)
    world.activate("second")
    assert route_and_candidate(reported=True) == ([100, 0], True)
    assert world.is_("CandidatePassed") == ("Unknown", "Running"), "its pods are ready"
    assert route_and_candidate(reported=False) == ([100, 0], True), "a proxy may not know its Service"
    assert route_and_candidate(reported=True) == ([90, 10], True)
    world.activate("first")
    assert route_and_candidate(reported=False) == ([100, 0], True)
    assert route_and_candidate(reported=False) == ([100, 0], True), "a proxy may still send it clients"
    assert route_and_candidate(reported=True) == ([100], False)


def test_the_network_admits_clients_to_a_held_candidate_until_every_gateway_has_taken_the_route_without_it() -> None:
    world = routed_canary(network_policy={}, on_failure="Hold")

    def admits_clients() -> bool:
        (rule,) = world.children["NetworkPolicy", "whales-candidate"]["spec"]["ingress"]
        return {"podSelector": {}} in rule["from"]

    def gateway_reports() -> None:
        route = world.children["HTTPRoute", "whales"]
        conditions = [{"type": "Accepted", "status": "True", "observedGeneration": route["metadata"]["generation"]}]
        route["status"] = {"parents": [{"parentRef": {"name": "public"}, "conditions": conditions}]}

    gateway_reports()
    world.settle()
    assert admits_clients()
    world.candidate_pods[0].ready = False
    world.settle()
    assert (world.is_("Stalled")[1], weights(world), admits_clients()) == ("CandidateHeld", [100, 0], True)
    gateway_reports()
    world.settle()
    assert not admits_clients()


def test_scaling_to_a_number_that_cannot_give_the_share_takes_the_clients_back() -> None:
    world = canary()
    assert world.clients_reach_candidate
    world.edit(serving={"replicas": 0})
    world.settle()
    assert not world.clients_reach_candidate
    assert world.is_("Stalled") == ("True", "CandidateHeld")
    world.edit(serving={"replicas": 2})
    world.settle()
    assert (world.clients_reach_candidate, len(world.candidate_pods)) == (True, 2)


def test_clients_reach_the_candidate_through_the_service_and_nothing_else_counts_its_pods() -> None:
    world = canary(serving={"replicas": 2})
    service, policy = world.children["Service", "whales"], world.children["NetworkPolicy", "whales-candidate"]
    assert service["spec"]["selector"] == {
        "app.kubernetes.io/name": "cetacean-inference",
        "app.kubernetes.io/instance": "whales",
        "app.kubernetes.io/managed-by": "cetacean-operator",
    }
    labels = world.candidate_pods[0].template["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (rule,) = policy["spec"]["ingress"]
    assert {"podSelector": {}} in rule["from"], "clients of the resource are clients of the candidate"
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert world.children[kind, "whales"]["spec"]["selector"]["matchLabels"].items() - labels.items()
    assert len(world.candidate_pods) == 2, "two of four pods are 50 %"


def test_no_client_reaches_the_candidate_before_all_its_pods_are_ready_and_counted() -> None:
    world = World(manifest(*MODELS, rollout={"stages": [CANARY]}))
    world.settle()
    world.behave = lambda pod: setattr(pod, "ready", pod.model != "second")
    world.activate("second")
    world.settle()
    assert not world.clients_reach_candidate
    assert "0 of 1 pods of the candidate are ready; no client reaches it before" in world.condition("Ready").message
    world.candidate_pods[0].ready = True
    world.settle()
    assert world.clients_reach_candidate


# --- The verdict ------------------------------------------------------------------------------------------------------


def test_a_canary_that_answers_as_well_is_promoted_after_its_time() -> None:
    world = canary()
    world.answer_clients(1000)
    world.settle()
    assert outcome(world) == ("Running", [])
    assert "600 s (holdForSeconds) are not over" in world.condition("Ready").message
    assert world.decide().requeue_after == 600
    world.wait(seconds=600)
    world.settle()
    assert (world.deployed, world.candidate, world.clients_reach_candidate) == ("second", None, False)
    stages = world.status.history[0].stages
    assert stages is not None
    assert stages[0].canary is not None
    assert (stages[0].canary.requests, stages[0].canary.stable_requests) == (1000, 1000)


def test_a_canary_with_another_weight_begins_again() -> None:
    """The answers to a small share say nothing about a large one."""
    world = canary()
    world.answer_clients(1000)
    world.wait(seconds=590)
    world.settle()
    assert outcome(world) == ("Running", [])
    more = {"canary": CANARY["canary"] | {"weight": 80}, "timeoutSeconds": 7200}
    world.edit(rollout={"stages": [more]})
    world.settle()
    world.wait(seconds=11)
    world.settle()
    assert (world.deployed, len(world.candidate_pods)) == ("first", 4)
    world.answer_clients(1000)
    world.wait(seconds=600)
    world.settle()
    newest = world.status.history[0]
    assert newest.stages is not None
    assert newest.stages[0].canary is not None
    assert (newest.model, newest.stages[0].canary.candidate_pods) == ("second", 4)


def test_a_canary_does_not_pass_while_one_of_its_pods_does_not_report() -> None:
    """It answers clients, and nobody knows what."""
    world = canary(serving={"replicas": 2})
    silent = world.candidate_pods[1]
    world.answer_clients(2000)
    silent.scraped, silent.error = Scraped.FAILED_LATELY, "/metrics: expected at most 2000 lines, got more"
    world.wait(seconds=600)
    world.settle()
    assert outcome(world) == ("Running", [])
    assert f"-{silent.number} does not report its answers: /metrics" in world.condition("CandidatePassed").message
    silent.scraped, silent.error = Scraped.ANSWERED, ""
    world.settle()
    assert world.deployed == "second"


def test_a_failing_canary_goes_back_at_once() -> None:
    world = canary()
    world.answer_clients(60, candidate_errors=0.5)
    world.settle()
    assert (world.deployed, world.candidate, world.clients_reach_candidate) == ("first", None, False)
    assert outcome(world) == ("Failing", ["Failing"])
    assert "30 of 60 answers of the candidate were 5xx, 0 of 60" in world.status.returned[0].why


def test_a_slower_canary_goes_back() -> None:
    world = canary()
    for pod in world.pods:
        pod.answer(500, seconds=0.05)
    for pod in world.candidate_pods:
        pod.answer(500, seconds=0.5)
    world.settle()
    assert outcome(world) == ("Slower", ["Slower"])


def routed_canary(
    *, replicas: int = 1, candidates: int = 1, network_policy: Any = None, on_failure: str = "Return"
) -> World:
    """`first` serves, and `second` gets a tenth of the requests that come through a Gateway."""
    route = {"parentRefs": [{"name": "public"}]}
    serving = {"replicas": replicas, "route": route, "networkPolicy": network_policy}
    rollout = {
        "stages": [{"canary": {"weight": 10}}],
        "candidate": {"replicas": candidates},
        "onFailure": on_failure,
    }
    world = World(
        manifest(*MODELS, rollout=rollout, serving=serving),
        behave=lambda pod: begin_to_answer(pod, BEGIN),
        served_kinds=frozenset({"HTTPRoute"}),
    )
    world.settle()
    world.activate("second")
    world.settle()
    assert weights(world) == [90, 10]
    return world


def begin_to_answer(pod: FakePod, at: datetime) -> None:
    pod.ready, pod.started_at = True, timestamp(at)


def weights(world: World) -> list[int]:
    (rule,) = world.children["HTTPRoute", "whales"]["spec"]["rules"]
    return [one["weight"] for one in rule["backendRefs"]]


def test_a_canary_whose_pod_stops_answering_goes_back_at_once() -> None:
    world = routed_canary(candidates=2)
    pod = world.candidate_pods[0]
    pod.ready, pod.started_at = False, None
    pod.failures = (ContainerFailure("serve", "Error", "Traceback\nKeyError: 'sea'", exit_code=1),)
    world.settle()
    assert outcome(world) == ("Failing", ["Failing"])
    assert "pod whales_candidate-" in world.status.returned[0].why
    assert "answered clients and is not ready any more: CrashLoop: " in world.status.returned[0].why
    assert (weights(world), world.is_("CandidatePassed")) == ([100], ("False", "Failing"))


def test_a_canary_whose_pod_hangs_goes_back_as_soon_as_it_is_not_ready() -> None:
    world = routed_canary()
    world.candidate_pods[0].ready = False
    world.settle()
    assert outcome(world) == ("Failing", ["Failing"])


def test_a_pod_that_replaces_another_of_the_canary_answers_clients_as_those_before_it() -> None:
    world = routed_canary(candidates=2)
    world.wait(seconds=60)
    world.behave = lambda pod: None
    world.candidate_pods.pop(0)  # its node was drained
    world.settle()
    assert outcome(world) == ("Running", []), "the pod that loads its weights has answered nobody"
    begin_to_answer(world.candidate_pods[-1], world.now)
    world.settle()
    assert weights(world) == [90, 10]
    record = read_stage_record(world.candidate)
    assert record is not None
    assert record.canary is not None
    assert f"pod-{world.candidate_pods[-1].number}" in record.canary.pods
    world.candidate_pods[-1].ready = False
    world.settle()
    assert outcome(world) == ("Failing", ["Failing"])


@pytest.mark.parametrize(
    ("change", "serves"),
    [({"lost_node": "node-1"}, True), ({"failures": (NODE_RESTARTED,)}, True), ({}, False)],
    ids=["the node does not report", "the node was restarted", "what serves is not ready either"],
)
def test_clients_do_not_reach_a_canary_without_a_ready_pod_and_come_back_with_it(
    change: dict[str, Any], serves: bool
) -> None:
    world = routed_canary(replicas=2)
    pod = world.candidate_pods[0]
    pod.ready = False
    pod.__dict__.update(change)
    world.pods[0].ready = serves
    world.reconcile()
    assert outcome(world) == ("Running", [])
    assert weights(world) == [100, 0]
    pod.ready, pod.lost_node = True, None
    world.pods[0].ready = True
    world.settle()
    assert weights(world) == [90, 10]
    assert outcome(world) == ("Running", [])


def test_a_canary_that_stops_answering_long_after_its_node_was_restarted_fails() -> None:
    world = routed_canary(replicas=2)
    pod = world.candidate_pods[0]
    pod.ready, pod.failures, pod.started_at = False, (NODE_RESTARTED,), timestamp(world.now)
    world.wait(seconds=119)
    world.reconcile()
    assert outcome(world) == ("Running", [])
    world.wait(seconds=1)
    world.settle()
    assert outcome(world) == ("Failing", ["Failing"])
    assert "its probe still fails" in world.status.returned[0].why


def test_answers_before_the_canary_say_nothing_about_its_times() -> None:
    world = World(manifest(*MODELS, rollout={"stages": [{"shadow": {}}, CANARY]}))
    world.settle()
    for _ in range(2):
        world.pods[0].answer(500, seconds=0.05)
    world.activate("second")
    world.settle()
    world.candidate_pods[0].answer(500, seconds=0.5)  # copies, while it warmed up
    world.shadow(1000)
    world.settle()
    assert world.clients_reach_candidate
    assert outcome(world) == ("Running", [])
    world.answer_clients(400)
    world.wait(seconds=600)
    world.settle()
    stages = world.status.history[0].stages
    assert stages is not None
    assert stages[1].canary is not None
    assert stages[1].canary.median_seconds == stages[1].canary.stable_median_seconds == 0.075


def test_times_of_a_pod_count_from_the_begin_from_zero_after_a_restart_or_not_at_all() -> None:
    inf = math.inf
    begin = CanaryBegin(
        at=timestamp(BEGIN),
        weight=50,
        pods={
            "pod-1": PodCounters(requests=10, times={0.1: 4, inf: 10}),
            "pod-2": PodCounters(requests=10, times={0.1: 4, 0.5: 5, inf: 10}),
            "pod-3": PodCounters(requests=10, times=None),
        },
    )

    def pod(number: int, *times: tuple[float, float]) -> Pod:
        return ready_pod(number, service=ServiceReport(requests_total=20, durations_total=times))

    assert answered([pod(1, (0.1, 10), (inf, 20))], begin).times == ((0.1, 6), (inf, 10))
    assert answered([pod(2, (0.1, 10), (0.2, 11), (inf, 20))], begin).times == ((0.1, 6), (inf, 10))
    assert answered([pod(1, (0.1, 2), (inf, 3))], begin).times == ((0.1, 2), (inf, 3))
    assert answered([pod(3, (0.1, 10), (inf, 20))], begin).times == ()
    record = StageRecord(rollout="r", served="s", canary=begin)
    assert StageRecord.model_validate_json(record.text()) == record


@pytest.mark.parametrize("buckets", [11, 64])
def test_the_record_of_many_pods_fits_into_an_annotation(buckets: int) -> None:
    spec = parse_spec(manifest(*MODELS, rollout={"stages": [CANARY]}, serving={"replicas": 600})["spec"])
    first, second = (rollout_of(one, spec.anti_fraud) for one in spec.registry.models)
    assert spec.rollout is not None
    bounds = (*(0.001234567890123 * number for number in range(buckets - 1)), math.inf)
    report = ServiceReport(requests_total=1e9, durations_total=tuple((bound, 1e9) for bound in bounds))
    pods = [
        replace(
            ready_pod(number, rollout_id=(second if number < 600 else first).id, service=report),
            uid=str(UUID(int=number)),
        )
        for number in range(1200)
    ]
    given_pods = StageInput(
        name="whales", now=BEGIN, pods=tuple(pods[600:]), wanted=600, candidate_pods=tuple(pods[:600])
    )
    pair = Pair(candidate=second.model, rollout=second, served=first, served_digest="a" * 64)
    record = StageRecord(rollout=second.id, served=first.id)
    judged_stage = judge_stage(pair, spec.rollout.stages[0], spec=spec, given=given_pods, record=record)
    assert judged_stage.begin is not None
    assert len(judged_stage.begin.pods) == 1200
    for group in (pods[:600], pods[600:]):
        assert any(judged_stage.begin.pods[pod.uid].times for pod in group), "the times of both groups are known"
    text = record.model_copy(update={"canary": judged_stage.begin}).text()
    assert len(text) < 200_000, "an object may have 256 KiB of annotations"
    assert StageRecord.model_validate_json(text).canary == judged_stage.begin


def test_counters_are_recorded_up_to_the_bound_and_pods_without_any_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = parse_spec(manifest(*MODELS, rollout={"stages": [CANARY]}, serving={"replicas": 1})["spec"])
    first, second = (rollout_of(one, spec.anti_fraud) for one in spec.registry.models)
    assert spec.rollout is not None
    stage = spec.rollout.stages[0]
    pair = Pair(candidate=second.model, rollout=second, served=first, served_digest="a" * 64)
    report = ServiceReport(requests_total=7, durations_total=((math.inf, 7),))
    own = ready_pod(1, rollout_id=second.id, service=report, started_at=timestamp(BEGIN))
    stable = (ready_pod(2, rollout_id=first.id, service=None), ready_pod(3, rollout_id=first.id, service=report))
    record = StageRecord(rollout=second.id, served=first.id)
    given_pods = StageInput(name="whales", now=BEGIN, pods=stable, wanted=1, candidate_pods=(own,))

    def recorded(*, with_times: int, all_of_them: int, of: StageRecord = record) -> dict[str, PodCounters]:
        monkeypatch.setattr("cetacean_operator.decisions.stage_judgement._LARGEST_WITH_TIMES", with_times)
        monkeypatch.setattr("cetacean_operator.decisions.stage_judgement._LARGEST_BEGIN", all_of_them)
        found = judge_stage(pair, stage, spec=spec, given=given_pods, record=of).begin
        assert found is not None
        return found.pods

    def size(counters: dict[str, PodCounters]) -> int:
        return len(json.dumps({uid: one.wire() for uid, one in counters.items()}))

    timed, bare = PodCounters(requests=7, times={math.inf: 7}), PodCounters(requests=7)
    both = size({own.uid: timed}) + size({stable[1].uid: timed})
    assert recorded(with_times=both, all_of_them=both) == {own.uid: timed, stable[1].uid: timed}
    assert recorded(with_times=both - 1, all_of_them=both) == {own.uid: timed, stable[1].uid: bare}
    both = size({own.uid: bare}) + size({stable[1].uid: bare})
    assert recorded(with_times=0, all_of_them=both) == {own.uid: bare, stable[1].uid: bare}
    assert recorded(with_times=0, all_of_them=both - 1) == {own.uid: bare}
    gone = {"gone": PodCounters(times={}), stable[1].uid: bare}
    begun = record.model_copy(update={"canary": CanaryBegin(at=timestamp(BEGIN), weight=50, pods=gone)})
    added = gone | {own.uid: PodCounters(times={})}
    assert recorded(with_times=0, all_of_them=size(added), of=begun) == added
    del added["gone"]
    assert recorded(with_times=0, all_of_them=size(added), of=begun) == added


def test_pods_that_are_gone_leave_a_record_that_grows_too_large() -> None:
    spec = parse_spec(manifest(*MODELS, rollout={"stages": [CANARY]}, serving={"replicas": 1})["spec"])
    first, second = (rollout_of(one, spec.anti_fraud) for one in spec.registry.models)
    assert spec.rollout is not None
    stage = spec.rollout.stages[0]
    pair = Pair(candidate=second.model, rollout=second, served=first, served_digest="a" * 64)
    later = ready_pod(1, rollout_id=second.id, service=ServiceReport(), started_at=timestamp(BEGIN))
    stable = ready_pod(2, rollout_id=first.id, service=ServiceReport(requests_total=7))

    def record_after(replaced: int) -> CanaryBegin:
        gone = {str(UUID(int=number)): PodCounters(times={}) for number in range(replaced)}
        begin = CanaryBegin(at=timestamp(BEGIN), weight=50, pods=gone | {stable.uid: PodCounters(requests=7)})
        record = StageRecord(rollout=second.id, served=first.id, canary=begin)
        given_pods = StageInput(name="whales", now=BEGIN, pods=(stable,), wanted=1, candidate_pods=(later,))
        found = judge_stage(pair, stage, spec=spec, given=given_pods, record=record).begin
        assert found is not None
        return found

    assert len(record_after(100).pods) == 102
    assert record_after(3000).pods == {stable.uid: PodCounters(requests=7), later.uid: PodCounters(times={})}


def test_errors_that_the_other_pods_have_too_are_not_the_candidates() -> None:
    world = canary()
    world.answer_clients(2000, candidate_errors=0.1, errors=0.1)
    world.settle()
    assert outcome(world) == ("Running", [])


def test_a_canary_without_requests_is_inconclusive() -> None:
    world = canary()
    world.wait(seconds=7200)
    world.settle()
    assert outcome(world) == ("Inconclusive", [])
    assert not world.clients_reach_candidate
    assert world.is_("Stalled") == ("True", "CandidateHeld")


def test_requests_before_the_canary_do_not_count() -> None:
    world = World(manifest(*MODELS, rollout={"stages": [{"shadow": {}}, CANARY]}))
    world.settle()
    world.pods[0].answer(5000, 4000)
    world.activate("second")
    world.settle()
    world.candidate_pods[0].answer(700, 600)  # copies
    world.shadow(1000)
    world.settle()
    assert world.clients_reach_candidate
    found = world.status.candidate
    assert found is not None
    assert found.canary is not None
    assert (found.canary.requests, found.canary.stable_requests) == (0, 0)


def test_a_pod_that_restarts_counts_from_zero_and_an_unknown_older_one_not_at_all() -> None:
    begin = CanaryBegin(at=timestamp(BEGIN), weight=50, pods={"pod-1": PodCounters(requests=100.0, errors=10.0)})

    def pod(number: int, requests: float, errors: float, started_at: str | None = None) -> Pod:
        report = ServiceReport(requests_total=requests, errors_total=errors)
        return ready_pod(number, service=report, started_at=started_at)

    found = answered([pod(1, 120, 11)], begin)
    assert (found.requests, found.errors) == (20, 1)
    found = answered([pod(1, 20, 1), pod(2, 7, 0, "2026-01-02T00:00:00Z"), pod(3, 9, 0, "2025-12-31T00:00:00Z")], begin)
    assert (found.requests, found.errors) == (27, 1)


def judged(rng: random.Random, rate: float, stable_rate: float) -> Outcome:
    """Judge after every ten requests of each group, until there is a verdict or 3000 requests."""
    times = ((0.1, 0.0), (0.25, 1000.0), (math.inf, 1000.0))
    errors = stable_errors = 0
    for requests in range(10, 3000, 10):
        errors += sum(rng.random() < rate for _ in range(10))
        stable_errors += sum(rng.random() < stable_rate for _ in range(10))
        verdict = judge_canary(
            Answered(requests, errors, times), Answered(requests, stable_errors, times), REQUIRE, held_for=600
        )
        if verdict.outcome is not Outcome.UNDECIDED:
            return verdict.outcome
    return Outcome.UNDECIDED


RUNS = 100


def test_an_equal_canary_is_refused_and_a_bad_one_passed_in_at_most_five_percent() -> None:
    rng = random.Random("canary")
    equal = [judged(rng, 0.01, 0.01) for _ in range(RUNS)]
    barely_bad = [judged(rng, 0.035, 0.01) for _ in range(RUNS)]
    # At 5 %, 100 runs have more than 13 with a chance below one in a thousand.
    assert equal.count(Outcome.FAILED) <= 13
    assert barely_bad.count(Outcome.PASSED) <= 13
    assert [judged(rng, 0.5, 0.01) for _ in range(10)] == [Outcome.FAILED] * 10
