"""The judgement of the stage that runs: pods that count, what the comparison asks for, and the time of the next one."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.operator_world import BEGIN, entry, manifest
from support.pods import ready_pod

from cetacean_operator.api import names
from cetacean_operator.api.keep_disagreements import KeepDisagreements
from cetacean_operator.api.observed import ContainerFailure, Identity, Object, Pod, ServiceReport
from cetacean_operator.api.shadow import PairCounts, ShadowReport
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.shadow_verdict import Outcome
from cetacean_operator.decisions.stage_input import Pair, StageInput
from cetacean_operator.decisions.stage_judgement import Judged, judge_stage
from cetacean_operator.decisions.stage_record import CanaryBegin, PodCounters, StageRecord

SHADOW: dict[str, Any] = {"shadow": {}}
CANARY: dict[str, Any] = {"canary": {"weight": 50, "require": {"holdForSeconds": 600}}}
ANTI_FRAUD = parse_spec(manifest()["spec"]).anti_fraud
FIRST, SECOND = (
    rollout_of(model, ANTI_FRAUD)
    for model in parse_spec(manifest(entry("first"), entry("second", "b"))["spec"]).registry.models
)
PAIR = Pair(candidate=SECOND.model, rollout=SECOND, served=FIRST, served_digest="a" * 64)
AT = timestamp(BEGIN)
CRASH = ContainerFailure("serve", "Error", "KeyError: 'sea'", exit_code=1)
BOUNDS = (0.1, math.inf)


def answering(requests: float = 0.0, errors: float = 0.0) -> ServiceReport:
    return ServiceReport(
        requests_total=requests, errors_total=errors, durations_total=tuple((bound, requests) for bound in BOUNDS)
    )


def stable(number: int = 9, **fields: Any) -> Pod:
    """Return a pod of the model that serves."""
    return ready_pod(number, **{"rollout_id": FIRST.id, "service": answering()} | fields)


def candidate(number: int = 1, **fields: Any) -> Pod:
    """Return a pod of the candidate."""
    identity = Identity(name="second", version="1.0.0", digest="b" * 64)
    return ready_pod(number, **{"rollout_id": SECOND.id, "identity": identity, "service": answering()} | fields)


def crashed(number: int = 1, **fields: Any) -> Pod:
    return candidate(number, ready=False, failures=(CRASH,), **fields)


def judge(
    stage: dict[str, Any],
    *pods: Pod,
    pair: Pair = PAIR,
    begin: CanaryBegin | None = None,
    age: float = 0.0,
    serving: tuple[Pod, ...] = (stable(),),
    wanted: int = 1,
    deployment: Object | None = None,
    live_run: str | None = None,
) -> Judged:
    """Judge a stage of a candidate with these pods, `age` seconds after the begin of the canary."""
    spec = parse_spec(manifest(entry("first"), entry("second", "b"), rollout={"stages": [stage]})["spec"])
    assert spec.rollout is not None
    given = StageInput(
        name="whales",
        now=BEGIN + timedelta(seconds=age),
        pods=serving,
        wanted=wanted,
        candidate_pods=pods,
        deployment=deployment,
        live_run=live_run,
    )
    record = StageRecord(rollout=SECOND.id, served=FIRST.id, canary=begin)
    return judge_stage(pair, spec.rollout.stages[0], spec=spec, given=given, record=record)


def begun(*pods: Pod) -> CanaryBegin:
    return CanaryBegin(at=AT, weight=50, pods={pod.uid: PodCounters(times={}) for pod in (stable(), *pods)})


# --- Pods that do not get ready ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pod", [candidate(terminating=True), candidate(rollout_id="another")], ids=["terminates", "of another rollout"]
)
def test_a_pod_that_terminates_or_belongs_to_another_rollout_is_no_pod_of_the_candidate(pod: Pod) -> None:
    found = judge(CANARY, pod)
    assert found.message == "0 of 1 pods of the candidate are ready; no client reaches it before"


def test_a_candidate_whose_pod_fails_is_failing() -> None:
    assert judge(SHADOW, crashed()) == Judged(
        Outcome.FAILED,
        "Failing",
        "its pods do not get ready: CrashLoop: pod p1, container serve ends with exit code 1: KeyError: 'sea'",
    )


def test_a_pod_that_fails_beside_as_many_ready_ones_as_are_needed_is_not_waited_for() -> None:
    assert judge(SHADOW, candidate(), crashed(2)).outcome is Outcome.UNDECIDED


@pytest.mark.parametrize(
    ("rollout", "message"),
    [
        (SECOND.id, "its pods do not get ready: QuotaExceeded: exceeded quota: memory"),
        (FIRST.id, "it waits until a pod of the candidate is ready"),
    ],
)
def test_only_a_deployment_with_the_candidates_rollout_says_why_it_has_no_pods(rollout: str, message: str) -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: memory"}
    deployment: Object = {
        "metadata": {"generation": 1},
        "spec": {"template": {"metadata": {"annotations": {names.ANNOTATION_ROLLOUT_ID: rollout}}}},
        "status": {"observedGeneration": 1, "conditions": [refused]},
    }
    found = judge(SHADOW, deployment=deployment)
    assert (found.outcome, found.message) == (Outcome.UNDECIDED, message)


@pytest.mark.parametrize(
    ("stage", "begin", "pods", "age", "wait"),
    [
        (SHADOW, None, (), 20, None),
        (SHADOW, None, (candidate(ready=False, started_at=AT),), 20, 100),
        (SHADOW, None, (candidate(ready=False, started_at=AT),), 121, None),
        (CANARY, begun(candidate()), (candidate(),), 20, 580),
        (CANARY, begun(candidate()), (candidate(),), 0, 600),
        (CANARY, begun(candidate()), (candidate(),), -5, 600),
        (CANARY, begun(candidate()), (candidate(), candidate(2, ready=False, started_at=AT)), 20, 100),
        (CANARY, begun(candidate()), (candidate(),), 599, 1),
        (CANARY, begun(candidate()), (candidate(),), 599.5, 0.5),
        (CANARY, begun(candidate()), (candidate(),), 600, None),
        (CANARY, begun(candidate()), (candidate(),), 601, None),
    ],
)
def test_it_is_judged_again_when_a_pod_counts_as_failed_or_the_time_of_the_canary_is_over(
    stage: dict[str, Any], begin: CanaryBegin | None, pods: tuple[Pod, ...], age: float, wait: float | None
) -> None:
    assert judge(stage, *pods, begin=begin, age=age).wait == wait


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, ""),
        ({"silent": "no answer within 3 s"}, ": no answer within 3 s"),
        (
            {"failures": (CRASH,), "silent": "no answer within 3 s"},
            ": CrashLoop: pod p1, container serve ends with exit code 1: KeyError: 'sea'",
        ),
    ],
    ids=["nobody knows why", "it does not answer", "it has ended"],
)
def test_a_pod_that_answered_clients_and_is_not_ready_any_more_ends_the_canary(
    fields: dict[str, Any], why: str
) -> None:
    found = judge(CANARY, candidate(ready=False, **fields), candidate(2), begin=begun(candidate(), candidate(2)))
    assert found == Judged(Outcome.FAILED, "Failing", f"pod p1 answered clients and is not ready any more{why}")


# --- A shadow ---------------------------------------------------------------------------------------------------------

ASKED: dict[str, Any] = {
    "shadow": {
        "share": 0.5,
        "require": {
            "pictures": 777,
            "minAgreement": {"accepted": 0.91, "species": 0.82, "individual": 0.73},
            "maxErrorPercent": 4.0,
            "maxLatencyRatio": 2.5,
        },
        "keepDisagreements": {"persistentVolumeClaim": {"claimName": "kept"}},
    }
}


@pytest.mark.parametrize(("wanted", "several"), [(0, False), (1, False), (2, True)])
def test_the_comparison_is_as_the_stage_asks(wanted: int, several: bool) -> None:
    assert judge(ASKED, candidate(), wanted=wanted).comparison == Comparison(
        candidate=SECOND,
        candidate_digest="b" * 64,
        served=FIRST,
        served_digest="a" * 64,
        share=0.5,
        several_pods=several,
        max_latency_ratio=2.5,
        keep_disagreements=KeepDisagreements.model_validate({"persistentVolumeClaim": {"claimName": "kept"}}),
    )


def test_the_answers_are_judged_by_the_requirements_of_the_stage() -> None:
    comparison = judge(ASKED, candidate()).comparison
    assert comparison is not None
    pairs = PairCounts(pairs=776, accepted=776, both_accepted=776, species=776, individual=776)
    report = ShadowReport(run=comparison.run, candidate=pairs)
    found = judge(ASKED, candidate(), serving=(stable(shadow=report),))
    assert found.message == "776 pictures were answered by both, at least 777 are needed"
    assert {share.name: (share.successes, share.smallest) for share in found.shares} == {
        "answered": (776, 0.96),
        "not slower than the bound": (776, 0.5),
        "same acceptance": (776, 0.91),
        "same species": (776, 0.82),
        "same individual": (776, 0.73),
    }
    assert found.shadow is not None
    assert found.shadow.pictures == 776


def test_reports_of_another_comparison_do_not_count() -> None:
    report = ShadowReport(run="another", candidate=PairCounts(pairs=5))
    found = judge(SHADOW, candidate(), serving=(stable(shadow=report),))
    assert found.message.startswith("0 pictures were answered by both")


NO_DIGEST = Pair(
    candidate=SECOND.model.model_copy(update={"sha256": None}), rollout=SECOND, served=FIRST, served_digest="a" * 64
)
UNKNOWN = Judged(Outcome.UNDECIDED, "Running", "no pod has reported its weights yet")


@pytest.mark.parametrize(
    ("pair", "pods"),
    [
        (NO_DIGEST, ()),
        (NO_DIGEST, (candidate(identity=None), candidate(2, identity=Identity()))),
        (replace(PAIR, served_digest=None), (candidate(),)),
    ],
    ids=["no pod", "no digest of the candidate", "no digest of what serves"],
)
def test_nothing_is_compared_before_the_weights_of_both_are_known(pair: Pair, pods: tuple[Pod, ...]) -> None:
    assert judge(SHADOW, *pods, pair=pair) == UNKNOWN


def test_without_a_digest_in_the_registry_a_pod_names_the_weights() -> None:
    found = judge(SHADOW, candidate(identity=None), candidate(2), pair=NO_DIGEST).comparison
    assert found is not None
    assert found.candidate_digest == "b" * 64


def test_copies_are_sent_from_the_first_ready_pod_on_and_go_on_without_one() -> None:
    waits = Judged(Outcome.UNDECIDED, "Running", "it waits until a pod of the candidate is ready")
    assert judge(SHADOW) == waits
    assert judge(SHADOW, live_run="another") == waits
    comparison = judge(SHADOW, candidate()).comparison
    assert comparison is not None
    assert judge(SHADOW, live_run=comparison.run).comparison == comparison


# --- A canary ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pods", "serving", "ready"),
    [
        ((), (stable(),), 0),
        ((candidate(service=None),), (stable(),), 1),
        ((candidate(),), (), 1),
    ],
    ids=["no pod is ready", "its counters are not known", "nothing serves"],
)
def test_no_client_reaches_a_canary_before(pods: tuple[Pod, ...], serving: tuple[Pod, ...], ready: int) -> None:
    waits = f"{ready} of 1 pods of the candidate are ready; no client reaches it before"
    assert judge(CANARY, *pods, serving=serving) == Judged(Outcome.UNDECIDED, "Running", waits)


def test_a_canary_begins_with_the_counters_of_all_pods() -> None:
    found = judge(CANARY, candidate(service=answering(7, 2)), serving=(stable(service=answering(50, 3)),))
    assert found.begin == CanaryBegin(
        at=AT,
        weight=50,
        pods={
            "pod-1": PodCounters(requests=7, errors=2, times=dict.fromkeys(BOUNDS, 7.0)),
            "pod-9": PodCounters(requests=50, errors=3, times=dict.fromkeys(BOUNDS, 50.0)),
        },
    )
    assert found.is_reachable
    assert [share.name for share in found.shares] == ["answered without 5xx"]
    assert found.canary is not None
    assert (found.canary.weight, found.canary.candidate_pods, found.canary.requests) == (50, 1, 0)


@pytest.mark.parametrize(
    ("started_at", "counted"),
    [("2025-12-31T23:59:59Z", False), (AT, True), ("2026-01-01T00:00:01Z", True), (None, False)],
)
def test_a_pod_that_came_later_counts_from_zero(started_at: str | None, counted: bool) -> None:
    later = candidate(2, service=answering(30, 1), started_at=started_at)
    begin = begun(candidate())
    found = judge(CANARY, candidate(), later, begin=begin, age=60)
    added = {"pod-2": PodCounters(times={})} if counted else {}
    assert found.begin == CanaryBegin(at=AT, weight=50, pods=begin.pods | added)
    if started_at:
        assert found.canary is not None
        assert found.canary.requests == (30 if counted else 0)


def test_a_pod_of_the_begin_keeps_its_counters_whenever_it_started() -> None:
    begin = CanaryBegin(
        at=AT, weight=50, pods={"pod-1": PodCounters(requests=7, errors=2, times={}), "pod-9": PodCounters()}
    )
    found = judge(CANARY, candidate(service=answering(10, 2), started_at=AT), begin=begin, age=60)
    assert found.begin == begin
    assert found.canary is not None
    assert (found.canary.requests, found.canary.errors) == (3, 0)


def test_a_canary_without_a_ready_pod_is_not_reachable() -> None:
    found = judge(CANARY, candidate(ready=False, lost_node="node-1"), begin=begun(candidate()))
    assert (found.outcome, found.is_reachable) == (Outcome.UNDECIDED, False)
