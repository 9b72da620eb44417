"""The stages of a candidate: what each verdict leads to, and what is remembered."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from support.approvals import approval_object
from support.kstatus import kstatus
from support.operator_world import BEGIN, World, entry, manifest
from support.pods import NODE_RESTARTED, FakePod, Scraped

from cetacean_operator.api import names
from cetacean_operator.api.candidate import CandidateStatus, PassedStage, ReturnedCandidate, ShadowFigures
from cetacean_operator.api.observed import ContainerFailure
from cetacean_operator.api.shadow import PairCounts, ShadowReport, SpeciesPairs
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import entry_id, rollout_of
from cetacean_operator.decisions.stage_input import Pair, StageInput
from cetacean_operator.decisions.stage_record import StageRecord, stage_digest
from cetacean_operator.decisions.stages import CandidateRun, Stages, StageState, run_stages

REQUIRE = {"pictures": 300}
SHADOW: dict[str, Any] = {"shadow": {"share": 1.0, "require": REQUIRE}, "timeoutSeconds": 3600}
CANARY: dict[str, Any] = {
    "canary": {"weight": 50, "require": {"requests": 100, "holdForSeconds": 600}},
    "timeoutSeconds": 7200,
}
MODELS = entry("first"), entry("second", "b"), entry("third", "c"), entry("bad", "d", metrics={"tnr": 0.1})
ENOUGH = 1000


def staged(*stages: dict[str, Any], begin: bool = True, **spec: Any) -> World:
    """`first` serves, and `second` is its candidate."""
    rollout = {"stages": list(stages or (SHADOW,))} | spec.pop("rollout", {})
    serving = {"networkPolicy": {}} | spec.pop("serving", {})
    world = World(manifest(*MODELS, rollout=rollout, serving=serving, **spec))
    world.settle()
    assert world.deployed == "first", "with nothing that serves there are no stages"
    if begin:
        world.activate("second")
        world.settle()
    return world


def verdict(world: World) -> str | None:
    return world.status.candidate.verdict if world.status.candidate else None


def returned(world: World) -> list[tuple[str, str]]:
    return [(one.model, one.reason) for one in world.status.returned]


def assert_gone(world: World, *, serving: str) -> None:
    """Nothing of a candidate is left, and what served goes on."""
    assert world.deployed == serving
    assert {name for _, name in world.children} <= {"whales", "whales-monitoring"}
    assert (world.comparison_plan, world.candidate_pods, world.clients_reach_candidate) == (None, [], False)


# --- Begin and end ----------------------------------------------------------------------------------------------------


def test_a_new_model_runs_beside_what_serves_and_serves_no_client() -> None:
    world = staged()
    assert world.deployed == "first"
    assert [pod.model for pod in world.candidate_pods] == ["second"]
    assert world.comparison_plan is not None
    assert world.comparison_plan["share"] == 1.0
    assert not world.clients_reach_candidate
    assert world.is_("CandidatePassed") == ("Unknown", "Running")
    assert (world.is_("Ready"), world.is_("Reconciling")[0]) == (("False", "StagesRunning"), "True")
    assert world.is_("RegistryDiverged") == ("False", "StagesRunning")
    assert kstatus(world.obj) == "InProgress"
    found = world.status.candidate
    assert found is not None
    assert (found.model, found.version, found.digest, found.stage, found.stages) == ("second", "1.0.0", "b" * 64, 1, 1)
    assert "stage 1 of 1 (Shadow): 0 pictures were answered by both, at least 300" in world.condition("Ready").message


def test_a_candidate_that_agrees_replaces_what_serves_and_is_removed() -> None:
    world = staged()
    world.shadow(ENOUGH)
    world.settle()
    assert_gone(world, serving="second")
    assert world.is_("Ready") == ("True", "Serving")
    assert world.is_("CandidatePassed") == ("True", "Agrees")
    newest = world.status.history[0]
    assert (newest.model, newest.reason) == ("second", "GatePassed")
    assert newest.stages is not None
    assert (newest.stages[0].kind, newest.stages[0].shadow and newest.stages[0].shadow.pictures) == ("Shadow", ENOUGH)
    assert "1 of 1 stages passed (Shadow: 1000 pictures were answered by both" in newest.why
    assert world.reasons.count("Promoting") == 2
    assert [reason for reason in world.reasons if reason.startswith("Stage")] == ["StageBegan"]


def test_the_candidate_stays_until_the_deployment_is_complete() -> None:
    world = staged()
    world.behave = lambda _pod: None  # the new pods take their time
    world.shadow(ENOUGH)
    world.settle()
    assert (world.deployed, [pod.model for pod in world.candidate_pods]) == ("second", ["second"])
    assert world.comparison_plan is None
    assert not world.clients_reach_candidate
    for pod in world.pods:
        pod.ready = True
    world.settle()
    assert_gone(world, serving="second")


def test_stages_run_in_their_order() -> None:
    world = staged(SHADOW, {"shadow": {"share": 0.5}}, CANARY)
    world.shadow(ENOUGH)
    world.settle()
    assert world.comparison_plan is not None
    assert world.comparison_plan["share"] == 0.5
    found = world.status.candidate
    assert found is not None
    assert (found.stage, [one.kind for one in found.passed]) == (2, ["Shadow"])
    world.shadow(ENOUGH)
    world.settle()
    assert world.clients_reach_candidate
    assert not world.comparison_plan
    assert world.reasons[-3:] == ["StageBegan", "StagePassed", "StageBegan"]


def test_without_stages_a_new_model_replaces_the_pods_at_once_and_nothing_is_different() -> None:
    plain = World(manifest(*MODELS))
    plain.settle()
    plain.activate("second")
    plain.settle()
    empty = World(manifest(*MODELS, rollout={"stages": []}))
    empty.settle()
    empty.activate("second")
    empty.settle()
    assert plain.children == empty.children
    assert plain.obj["status"] == empty.obj["status"]
    assert plain.status.condition("CandidatePassed") is None


def test_a_model_that_has_served_comes_back_at_once() -> None:
    world = staged()
    world.shadow(ENOUGH)
    world.settle()
    world.activate("first")
    world.settle()
    assert_gone(world, serving="first")
    assert world.is_("CandidatePassed") == ("Unknown", "NoCandidate")


def test_a_changed_active_ends_the_candidate_at_once() -> None:
    world = staged(CANARY)
    assert world.clients_reach_candidate
    world.activate("first")
    world.settle()
    assert_gone(world, serving="first")
    assert world.is_("Ready") == ("True", "Serving")


def test_another_candidate_begins_only_when_the_one_before_is_gone() -> None:
    world = staged(CANARY)
    assert world.clients_reach_candidate
    world.activate("third")
    plan = world.decide()
    assert ("Deployment", "whales-candidate") in {(one.kind, one.name) for one in plan.delete}
    assert "whales-candidate" not in {one["metadata"]["name"] for one in plan.apply if one["kind"] == "Deployment"}
    world.settle()
    assert [pod.model for pod in world.candidate_pods] == ["third"]


def test_a_model_that_the_gate_refuses_runs_no_stage() -> None:
    world = staged(begin=False)
    world.activate("bad")
    world.settle()
    assert_gone(world, serving="first")
    assert world.is_("Stalled") == ("True", "GateRefused")


# --- What is shown and recorded ---------------------------------------------------------------------------------------


def decided(*stages: dict[str, Any], passed: tuple[str, ...] = ()) -> tuple[Stages, Pair, StageRecord]:
    """Return what is decided about `second` before any of its pods is ready, and the record that its pods have.

    Args:
        stages: of the spec.
        passed: the messages of those that it has passed.
    """
    spec = parse_spec(manifest(*MODELS, rollout={"stages": list(stages)})["spec"])
    assert spec.rollout is not None
    first, second, *_ = spec.registry.models
    pair = Pair(second, rollout_of(second, spec.anti_fraud), rollout_of(first, spec.anti_fraud), first.sha256)
    record = StageRecord(
        rollout=pair.rollout.id,
        served=pair.served.id,
        passed=tuple(
            PassedStage(kind=stage.kind, digest=stage_digest(stage), at="2025-12-31T00:00:00Z", message=message)
            for stage, message in zip(spec.rollout.stages, passed, strict=False)
        ),
    )
    live = {"metadata": {"annotations": {names.ANNOTATION_STAGES: record.text()}}} if passed else None
    given = StageInput("whales", BEGIN, deployment=live)
    return run_stages(pair, spec=spec, given=given, returned=(), approved=True), pair, record


def test_the_pass_that_begins_a_stage_records_its_time() -> None:
    found, pair, record = decided(SHADOW)
    now, waits = timestamp(BEGIN), "it waits until a pod of the candidate is ready"
    assert found == Stages(
        StageState.RUNNING,
        ConditionState("Unknown", "Running", f"second 1.0.0, stage 1 of 1 (Shadow): {waits}"),
        CandidateStatus(
            model="second",
            version="1.0.0",
            digest="b" * 64,
            rollout=pair.rollout.id,
            stage=1,
            stages=1,
            kind="Shadow",
            since=now,
            verdict="Running",
            message=waits,
        ),
        CandidateRun(pair.rollout, record.model_copy(update={"stage": 0, "kind": "Shadow", "since": now}), replicas=1),
        requeue_after=3600.0,
    )


def test_a_candidate_that_has_passed_all_says_what_each_stage_found() -> None:
    found, pair, record = decided(SHADOW, CANARY, passed=("all agree", "as fast"))
    message = "2 of 2 stages passed (Shadow: all agree; Canary: as fast)"
    assert found == Stages(
        StageState.PASSED,
        ConditionState("True", "Agrees", f"second 1.0.0: {message}"),
        CandidateStatus(
            model="second",
            version="1.0.0",
            digest="b" * 64,
            rollout=pair.rollout.id,
            stages=2,
            verdict="Agrees",
            message=message,
            passed=record.passed,
        ),
    )


def test_the_status_shows_the_figures_of_a_shadow_that_runs_beside_what_it_requires() -> None:
    world = staged(SHADOW, CANARY)
    world.wait(seconds=60)
    world.shadow(10, failed=1, individual=2)
    world.settle()
    found = world.status.candidate
    assert found is not None
    assert (found.stage, found.stages, found.kind, found.since) == (1, 2, "Shadow", timestamp(BEGIN))
    assert found.shadow == ShadowFigures(
        pictures=10,
        failed=1,
        busy=0,
        dropped=0,
        accepted=10,
        both_accepted=10,
        species=10,
        individual=8,
        slower=0,
        score_shift=0.0,
        probability_shift=0.0,
    )
    assert [(one.name, one.successes, one.trials, one.smallest) for one in found.requirements] == [
        ("answered", 10, 11, 0.99),
        ("not slower than the bound", 10, 10, 0.5),
        ("same acceptance", 10, 10, 0.99),
        ("same species", 10, 10, 0.98),
        ("same individual", 8, 10, 0.85),
    ]


# --- Verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "reason", "named"),
    [
        ({"individual": ENOUGH, "species": 600}, "Disagrees", "same individual: 0 of 1000"),
        ({"accepted": 100}, "Disagrees", "same acceptance: 900 of 1000"),
        ({"slower": 900}, "Slower", "not slower than the bound: 100 of 1000"),
        ({"failed": 300}, "Failing", "answered: 1000 of 1300"),
    ],
    ids=["a permuted model", "another acceptance", "a slower one", "a failing one"],
)
def test_a_candidate_that_is_worse_is_removed_and_what_served_goes_on(
    counts: dict[str, int], reason: str, named: str
) -> None:
    world = staged()
    started = len(world.started)
    world.shadow(ENOUGH, **counts)
    world.settle()
    assert_gone(world, serving="first")
    assert returned(world) == [("second", reason)]
    assert named in world.status.returned[0].why
    assert (verdict(world), world.is_("CandidatePassed")) == (reason, ("False", reason))
    assert world.is_("RegistryDiverged") == ("True", "CandidateReturned")
    assert world.is_("Stalled") == ("True", "CandidateReturned")
    assert "runbook" in world.condition("Stalled").message
    assert world.reasons.count("CandidateReturned") == 1
    assert len(world.started) == started, "no pod that serves was replaced"


def test_one_that_lost_a_species_is_stopped() -> None:
    world = staged()
    world.shadow_species(ENOUGH, lost="beluga", pictures=20)
    world.settle()
    assert returned(world) == [("second", "Disagrees")]
    assert "same species for beluga: 0 of 20" in world.condition("CandidatePassed").message


def test_a_candidate_that_was_removed_is_not_tried_again() -> None:
    world = staged()
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    for name in ("first", "second"):
        world.activate(name)
        world.settle()
    assert_gone(world, serving="first")
    world.obj.pop("status")
    world.settle()
    assert returned(world) == [("second", "Disagrees")], "the Deployment remembers it"
    assert_gone(world, serving="first")


@pytest.mark.parametrize(
    "changed", [entry("second", "e"), entry("second", "b", inputSize=448)], ids=["weights", "size"]
)
def test_other_weights_or_another_size_of_pictures_are_tried(changed: dict[str, Any]) -> None:
    world = staged()
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    world.models(MODELS[0], changed)
    world.settle()
    assert verdict(world) == "Running"
    assert [pod.model for pod in world.candidate_pods] == ["second"]


def test_the_weights_that_serve_run_their_stages_again_if_they_get_other_classes() -> None:
    world = staged(begin=False)
    before = world.rollouts
    world.models(entry("first", files={"species_map.csv": "1" * 64}))
    world.settle()
    assert verdict(world) == "Running"
    assert world.rollouts == before
    assert [pod.model for pod in world.candidate_pods] == ["first"]
    assert world.comparison_plan is not None
    world.shadow(ENOUGH)
    world.settle()
    assert_gone(world, serving="first")
    assert world.rollouts.isdisjoint(before)


def test_another_threshold_reaches_what_serves_and_is_no_reason_to_try_a_removed_candidate_again() -> None:
    world = staged()
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    world.edit(antiFraud={"threshold": 0.0})
    world.settle()
    assert returned(world) == [("second", "Disagrees")]
    assert_gone(world, serving="first")
    assert [pod.env["CETACEAN_GATE__THRESHOLD"] for pod in world.pods] == ["0.0"]


@pytest.mark.parametrize("on_failure", ["Return", "Hold"])
def test_a_person_lets_a_candidate_try_again_and_its_stages_run_once_more(on_failure: str) -> None:
    world = staged(SHADOW, CANARY, rollout={"onFailure": on_failure})
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    assert (verdict(world), world.is_("Stalled")[0]) == ("Disagrees", "True")
    world.decide_by_person("Retry")
    world.settle()
    assert (verdict(world), world.is_("Stalled")[0]) == ("Running", "False")
    assert (world.deployed, [pod.model for pod in world.candidate_pods]) == ("first", ["second"])
    world.shadow(2 * ENOUGH, individual=ENOUGH)
    world.wait(seconds=60)
    world.settle()
    assert (verdict(world), world.is_("Stalled")[0]) == ("Disagrees", "True"), "one decision is one try"
    if on_failure == "Hold":
        world.shadow(ENOUGH)
        world.settle()
        assert (verdict(world), world.is_("Stalled")[0]) == ("Disagrees", "True"), "whatever is counted afterwards"
    world.decide_by_person("Retry", by="bob")
    world.settle()
    assert verdict(world) == "Running"


def test_a_decision_to_try_again_is_about_one_model_only() -> None:
    world = staged()
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    world.activate("third")
    world.decide_by_person("Retry")
    world.settle()
    world.activate("second")
    world.settle()
    assert (verdict(world), returned(world)) == ("Disagrees", [("second", "Disagrees")])


def test_a_decision_that_has_promoted_a_model_is_about_that_promotion_only() -> None:
    world = staged()
    world.decide_by_person("Promote")
    world.behave = lambda pod: setattr(pod, "ready", pod.model != "second")
    world.settle()
    assert world.deployed == "second"
    world.activate("first")
    world.settle()
    world.behave = lambda pod: setattr(pod, "ready", True)
    world.wait(hours=24)
    world.activate("second")
    world.settle()
    assert (world.deployed, verdict(world)) == ("first", "Running")


def test_a_failed_candidate_is_held_if_the_spec_says_so() -> None:
    world = staged(rollout={"onFailure": "Hold"})
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    assert (verdict(world), world.is_("Stalled")) == ("Disagrees", ("True", "CandidateHeld"))
    assert [pod.model for pod in world.candidate_pods] == ["second"]
    assert returned(world) == []
    world.shadow(ENOUGH)
    world.settle()
    assert verdict(world) == "Disagrees", "only a person ends it"


@pytest.mark.parametrize("on_inconclusive", ["Hold", "Return"])
def test_without_pictures_a_stage_is_inconclusive_after_its_timeout(on_inconclusive: str) -> None:
    world = staged(rollout={"onInconclusive": on_inconclusive})
    assert world.decide().requeue_after == 3600
    world.wait(seconds=3599)
    world.settle()
    assert (verdict(world), world.decide().requeue_after) == ("Running", 1)
    world.wait(seconds=1)
    world.settle()
    assert (verdict(world), world.is_("CandidatePassed")) == ("Inconclusive", ("Unknown", "Inconclusive"))
    assert "no verdict after 3600 s (timeoutSeconds): 0 pictures" in world.condition("CandidatePassed").message
    if on_inconclusive == "Hold":
        assert world.is_("Stalled") == ("True", "CandidateHeld")
        assert [pod.model for pod in world.candidate_pods] == ["second"]
        assert world.reasons.count("CandidateHeld") == 1
    else:
        assert returned(world) == [("second", "Inconclusive")]
        assert_gone(world, serving="first")


@pytest.mark.parametrize("change", ["approvals", "scaling", "scaling to zero"])
def test_a_failed_canary_that_is_held_gets_no_clients_again_without_a_person(change: str) -> None:
    canary = CANARY | {"canary": CANARY["canary"] | {"weight": 25}}
    world = staged(canary, rollout={"onFailure": "Hold"}, serving={"replicas": 3}, begin=False)
    world.edit(approval={})
    world.activate("second")
    world.approvals.append(approval_object("alice", at=world.now))
    world.settle()
    assert world.clients_reach_candidate
    world.answer_clients(300, candidate_errors=0.5)
    world.settle()
    held = ("Stalled", "True", "CandidateHeld")
    assert ("Stalled", *world.is_("Stalled")) == held
    if change == "approvals":
        world.approvals_unreadable = "forbidden"
        world.settle()
        world.approvals_unreadable = None
    else:
        for replicas in (4 if change == "scaling" else 0, 3):  # no whole number of pods gives 25 % beside four
            world.edit(serving={"replicas": replicas})
            world.settle()
            assert not world.clients_reach_candidate
    world.settle()
    assert not world.clients_reach_candidate
    assert (verdict(world), ("Stalled", *world.is_("Stalled"))) == ("Failing", held)


def test_a_canary_goes_on_while_approvals_cannot_be_read_and_the_next_stage_waits() -> None:
    world = staged(CANARY, {"shadow": {}}, begin=False)
    world.edit(approval={})
    world.activate("second")
    world.approvals.append(approval_object("alice", at=world.now))
    world.settle()
    world.answer_clients(300)
    world.settle()
    world.approvals_unreadable = "forbidden"
    world.settle()
    assert world.clients_reach_candidate
    assert world.is_("Approved") == ("False", "ApprovalsUnreadable")
    world.answer_clients(700)
    world.wait(seconds=700)
    world.settle()
    assert world.status.candidate is not None
    assert [one.canary.requests for one in world.status.candidate.passed if one.canary] == [1000]
    assert (world.clients_reach_candidate, world.comparison_plan) == (False, None)
    world.activate("third")
    world.settle()
    assert (world.candidate_pods, world.candidate) == ([], None), "nothing starts that nobody has approved"
    world.activate("second")
    world.settle()
    assert world.candidate is None
    world.approvals_unreadable = None
    world.settle()
    assert world.clients_reach_candidate, "its stages begin again: its Deployment had their record"


def test_a_shadow_begins_again_once_a_replica_is_wanted_and_no_time_counts_before() -> None:
    world = staged({"shadow": {}}, SHADOW)
    world.shadow(1000)
    world.settle()
    assert world.status.candidate is not None
    assert len(world.status.candidate.passed) == 1
    world.edit(serving={"replicas": 0})
    world.settle()
    assert (world.pods, world.candidate_pods) == ([], [])
    world.wait(hours=5)
    world.settle()
    waits = "second 1.0.0: it waits until a replica of the model that serves is wanted"
    assert world.condition("CandidatePassed").message == waits
    assert world.is_("Stalled")[0] == "False"
    world.edit(serving={"replicas": 1})
    world.settle()
    assert (verdict(world), world.status.candidate.stage, len(world.candidate_pods)) == ("Running", 2, 1)


def test_a_longer_timeout_lets_a_held_stage_begin_again() -> None:
    world = staged()
    world.wait(seconds=3600)
    world.settle()
    world.edit(rollout={"stages": [SHADOW | {"timeoutSeconds": 7200}]})
    world.settle()
    assert (verdict(world), world.decide().requeue_after) == ("Running", 7200)


def test_a_held_shadow_goes_on_and_shows_its_newest_figures() -> None:
    world = staged(rollout={"onFailure": "Hold"})
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    assert world.comparison_plan is not None
    world.shadow(ENOUGH + 1, individual=ENOUGH)
    world.settle()
    found = world.status.candidate
    assert found is not None
    assert found.shadow is not None
    assert (found.verdict, found.shadow.pictures, found.shadow.individual) == ("Disagrees", ENOUGH + 1, 1)
    assert [one.name for one in found.requirements if one.successes < one.trials] == ["same individual"]


def test_a_held_canary_keeps_its_pods_without_clients_and_shows_no_figures() -> None:
    world = staged(CANARY, rollout={"onFailure": "Hold"}, serving={"replicas": 3})
    assert (len(world.candidate_pods), world.clients_reach_candidate) == (3, True)
    world.answer_clients(200, candidate_errors=0.5)
    world.reconcile()
    assert not world.clients_reach_candidate, "the first pass that sees the errors takes the clients back"
    world.settle()
    assert ([pod.model for pod in world.candidate_pods], world.clients_reach_candidate) == (["second"] * 3, False)
    found, candidate = world.status.candidate, world.candidate
    assert found is not None
    assert candidate is not None
    assert (found.verdict, found.canary, found.requirements) == ("Failing", None, ())
    record = json.loads(candidate["metadata"]["annotations"][names.ANNOTATION_STAGES])
    assert record["hold"]["message"] == found.message
    assert "canary" not in record, "what its pods have counted is of no use any more"


def test_a_clock_that_is_set_back_makes_no_stage_longer_than_its_timeout() -> None:
    world = staged()
    world.wait(days=-400)
    world.settle()
    assert (verdict(world), world.decide().requeue_after) == ("Running", 3600)
    world.wait(seconds=3600)
    world.settle()
    assert verdict(world) == "Inconclusive"


def test_a_clock_that_is_set_back_makes_no_canary_longer_than_its_time() -> None:
    world = staged(CANARY)
    world.wait(days=-400)
    world.settle()
    world.answer_clients(ENOUGH)
    world.wait(seconds=599)
    world.settle()
    assert (verdict(world), world.decide().requeue_after) == ("Running", 1)
    world.wait(seconds=1)
    world.settle()
    assert_gone(world, serving="second")


def edit_record(world: World, **changes: Any) -> None:
    """Write into the annotation of the candidate's Deployment, as people may; None removes a field."""
    candidate = world.candidate
    assert candidate is not None
    annotations = candidate["metadata"]["annotations"]
    record = json.loads(annotations[names.ANNOTATION_STAGES]) | changes
    written = {key: value for key, value in record.items() if value is not None}
    annotations[names.ANNOTATION_STAGES] = json.dumps(written)


@pytest.mark.parametrize("since", [None, "yesterday"])
def test_a_stage_whose_begin_cannot_be_read_begins_now(since: str | None) -> None:
    world = staged()
    world.wait(seconds=1800)
    edit_record(world, since=since)
    world.settle()
    assert (verdict(world), world.decide().requeue_after) == ("Running", 3600)
    world.wait(seconds=3600)
    world.settle()
    assert verdict(world) == "Inconclusive"


def test_a_canary_whose_begin_cannot_be_read_begins_now() -> None:
    world = staged(CANARY)
    world.answer_clients(ENOUGH)
    world.wait(seconds=300)
    assert world.candidate is not None
    record = json.loads(world.candidate["metadata"]["annotations"][names.ANNOTATION_STAGES])
    edit_record(world, canary=record["canary"] | {"at": "yesterday"})
    world.settle()
    assert (verdict(world), world.decide().requeue_after) == ("Running", 600)
    world.wait(seconds=600)
    world.settle()
    assert_gone(world, serving="second")


def test_a_candidate_whose_pods_never_start_fails() -> None:
    def behave(pod: FakePod) -> None:
        pod.ready = pod.model != "second"
        if not pod.ready:
            pod.failures = (ContainerFailure("fetch", "Error", "DigestMismatch: expected b, got c", exit_code=1),)

    world = staged(begin=False)
    world.behave = behave
    world.activate("second")
    world.settle()
    assert returned(world) == [("second", "Failing")]
    assert "its pods do not get ready: DigestMismatch" in world.status.returned[0].why
    assert_gone(world, serving="first")


QUOTA = {"type": "ReplicaFailure", "status": "True", "message": "pods is forbidden: exceeded quota: memory"}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"}
PULL = ContainerFailure("fetch", "ErrImagePull", "429 Too Many Requests", waiting=True)


@pytest.mark.parametrize(
    ("conditions", "change", "shown"),
    [
        ([QUOTA], {}, "QuotaExceeded: pods is forbidden: exceeded quota: memory"),
        ([], {"failures": (PULL,)}, "ImagePull: pod whales_candidate-"),
        ([LATE], {"unschedulable": "no node has room"}, "Unschedulable: pod whales_candidate-"),
        ([], {"failures": (NODE_RESTARTED,)}, "ContainerLost: pod whales_candidate-"),
    ],
    ids=["quota", "image", "no room until the deadline", "its node was restarted"],
)
def test_a_fault_of_the_cluster_says_nothing_about_the_candidate(
    conditions: list[dict[str, str]], change: dict[str, Any], shown: str
) -> None:
    def behave(pod: FakePod) -> None:
        pod.ready = pod.model != "second"
        if not pod.ready:
            pod.__dict__.update(change)

    world = staged(begin=False)
    world.behave = behave
    world.activate("second")
    world.settle()
    candidate = world.candidate
    assert candidate is not None
    candidate["status"] = {"observedGeneration": 9, "conditions": conditions}
    world.reconcile()
    assert (verdict(world), returned(world)) == ("Running", [])
    assert f"its pods do not get ready: {shown}" in world.condition("CandidatePassed").message
    world.wait(seconds=3600)
    world.reconcile()
    assert verdict(world) == "Inconclusive"
    assert shown in world.condition("CandidatePassed").message


def test_pods_copy_nothing_until_the_candidate_is_ready_and_go_on_if_it_dies() -> None:
    world = staged(begin=False)
    world.behave = lambda pod: setattr(pod, "ready", pod.model != "second")
    world.activate("second")
    world.settle()
    assert world.comparison_plan is None
    assert "it waits until a pod of the candidate is ready" in world.condition("CandidatePassed").message
    world.candidate_pods[0].ready = True
    world.settle()
    plan = world.comparison_plan
    assert plan is not None
    world.candidate_pods[0].ready = False
    world.settle()
    assert world.comparison_plan == plan, "copies without an answer now count"


def test_pods_with_another_threshold_than_what_is_compared_do_not_count() -> None:
    """The pods of what serves are replaced, and those of before answer the new comparison otherwise until then."""
    world = staged()
    world.behave = lambda pod: setattr(pod, "ready", pod.model != "first")
    world.edit(antiFraud={"threshold": 0.3})
    world.settle()
    assert world.pods[0].ready
    assert world.pods[0].env["CETACEAN_GATE__THRESHOLD"] == "0.52"
    world.shadow(ENOUGH)
    world.settle()
    assert verdict(world) == "Running"
    new = next(pod for pod in world.pods if pod.env["CETACEAN_GATE__THRESHOLD"] == "0.3")
    new.ready, new.shadow, world.pods[0].shadow = True, world.pods[0].shadow, None
    world.settle()
    assert_gone(world, serving="second")


# --- A spec that changes while stages run -----------------------------------------------------------------------------

HALF: dict[str, Any] = {"shadow": {"share": 0.5}, "timeoutSeconds": 3600}
THIRD: dict[str, Any] = {"canary": {"weight": 33}}
"""Two pods that serve can give it, and three cannot."""


def second_stage_runs(*stages: dict[str, Any], **spec: Any) -> World:
    """The candidate has passed its first stage, a shadow, and its second one has run for a minute."""
    world = staged(*stages, **spec)
    world.wait(seconds=60)
    world.shadow(ENOUGH)
    world.settle()
    found = world.status.candidate
    assert found is not None
    assert (found.stage, len(found.passed)) == (2, 1)
    world.wait(seconds=60)
    return world


def test_a_stage_that_was_passed_and_is_changed_runs_again_and_all_after_it() -> None:
    world = second_stage_runs(SHADOW, HALF)
    world.edit(rollout={"stages": [{"shadow": {"share": 0.75}}, HALF]})
    world.settle()
    found = world.status.candidate
    assert found is not None
    assert (found.stage, found.passed, found.since) == (1, (), timestamp(world.now))
    assert world.comparison_plan is not None
    assert world.comparison_plan["share"] == 0.75


def test_a_stage_that_becomes_one_of_the_other_kind_begins_again() -> None:
    world = staged(SHADOW)
    world.wait(seconds=60)
    world.edit(rollout={"stages": [CANARY]})
    world.settle()
    found = world.status.candidate
    assert found is not None
    assert (found.stage, found.kind, found.since) == (1, "Canary", timestamp(world.now))


def test_a_candidate_has_passed_if_the_stages_that_are_left_are_taken_out() -> None:
    world = second_stage_runs(SHADOW, HALF)
    world.edit(rollout={"stages": [SHADOW]})
    world.settle()
    assert_gone(world, serving="second")
    assert world.is_("CandidatePassed") == ("True", "Agrees")


def test_a_canary_that_becomes_impossible_keeps_its_pods_without_clients() -> None:
    world = staged(THIRD, serving={"replicas": 2})
    assert world.clients_reach_candidate
    world.edit(serving={"replicas": 3})
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Impossible")
    assert ([pod.model for pod in world.candidate_pods], world.clients_reach_candidate) == (["second"], False)


def test_a_later_canary_that_becomes_impossible_stops_the_candidate_only_when_it_comes() -> None:
    world = staged(SHADOW, THIRD, HALF, serving={"replicas": 2})
    world.edit(serving={"replicas": 3})
    world.settle()
    assert verdict(world) == "Running"
    world.shadow(ENOUGH)
    world.settle()
    assert world.is_("CandidatePassed") == ("Unknown", "Impossible")
    assert "3 pods cannot give a candidate 33 %" in world.condition("CandidatePassed").message
    found = world.status.candidate
    assert found is not None
    assert ([one.kind for one in found.passed], found.stage) == (["Shadow"], None)
    assert [pod.model for pod in world.candidate_pods] == ["second"], "what it has passed stays with its Deployment"
    world.edit(serving={"replicas": 2})
    world.settle()
    assert (verdict(world), world.clients_reach_candidate) == ("Running", True)


# --- What is lost, and what is deleted --------------------------------------------------------------------------------


def test_a_lost_status_promotes_no_candidate_while_no_pod_answers() -> None:
    world = staged()
    del world.obj["status"]
    world.pods, world.candidate_pods = [], []
    world.reconcile()
    assert world.deployed == "first"
    world.settle()
    assert world.deployed == "first"


def test_a_lost_status_promotes_no_candidate_whose_pods_run() -> None:
    world = staged()
    del world.obj["status"]
    assert world.deployment is not None
    world.deployment["metadata"]["annotations"].clear()  # nothing else says that stages have begun
    world.pods = []
    world.reconcile()
    assert world.deployed == "first"


def test_a_lost_status_promotes_no_new_model_while_pods_run_that_have_not_answered() -> None:
    world = World(manifest(*MODELS, rollout={"stages": [SHADOW]}))
    world.settle()
    del world.obj["status"]
    for pod in world.pods:
        pod.scraped = Scraped.NOT_YET
    world.activate("second")
    world.reconcile()
    assert world.deployed == "first"


def test_what_serves_without_a_digest_in_the_registry_is_compared_by_that_of_its_pods() -> None:
    world = World(manifest(entry("first", None), entry("second", "b"), rollout={"stages": [SHADOW]}))
    world.settle()
    found = world.status.served[0].digest
    assert found is not None
    world.activate("second")
    world.settle()
    assert world.comparison_plan is not None
    assert world.comparison_plan["served"]["sha256"] == found


def test_a_lost_status_changes_nothing() -> None:
    world = staged(SHADOW, CANARY)
    world.shadow(ENOUGH)
    world.settle()
    before = copy.deepcopy(world.obj["status"])
    world.obj.pop("status")
    for pod in world.pods:
        pod.scraped = Scraped.NOT_YET
    world.reconcile()
    assert world.deployed == "first"
    for pod in world.pods:
        pod.scraped = Scraped.ANSWERED
    world.settle()
    assert world.obj["status"]["candidate"] == before["candidate"]
    assert world.clients_reach_candidate


def test_an_unproven_candidate_never_counts_as_a_model_that_has_served() -> None:
    world = staged()
    world.obj.pop("status")
    world.settle()
    assert [item.entry.name for item in world.status.served] == ["first"]
    assert world.deployed == "first"


def test_a_candidate_that_somebody_deletes_begins_again() -> None:
    world = staged(SHADOW, {"shadow": {"share": 0.5}})
    world.shadow(ENOUGH)
    world.settle()
    del world.children["Deployment", "whales-candidate"]
    world.settle()
    assert world.status.candidate is not None
    assert world.status.candidate.stage == 1


@pytest.mark.parametrize("text", ["", "null", "[]", '{"rollout": 1}', "{"])
def test_a_record_that_cannot_be_read_begins_the_stages_again(text: str) -> None:
    world = staged()
    candidate = world.candidate
    assert candidate is not None
    candidate["metadata"]["annotations"][names.ANNOTATION_STAGES] = text
    world.settle()
    assert (verdict(world), world.deployed) == ("Running", "first")


# --- Persons ----------------------------------------------------------------------------------------------------------


def test_a_person_promotes_a_held_candidate_and_the_history_says_who() -> None:
    world = staged()
    world.wait(seconds=3600)
    world.settle()
    world.decide_by_person("Promote", why="seen on the boat")
    world.settle()
    assert_gone(world, serving="second")
    newest = world.status.history[0]
    assert newest.decision is not None
    assert (newest.decision.by, newest.decision.why) == ("alice", "seen on the boat")
    assert newest.why.endswith(
        "; second 1.0.0: alice promoted it at 2026-01-01T01:00:00Z: seen on the boat; 0 of 1 stages passed"
    )
    assert world.is_("CandidatePassed") == ("True", "PromotedByPerson")


def test_a_person_promotes_a_candidate_that_was_removed() -> None:
    world = staged()
    world.shadow(ENOUGH, individual=ENOUGH)
    world.settle()
    world.decide_by_person("Promote")
    world.settle()
    assert_gone(world, serving="second")
    promoted = "; second 1.0.0: alice promoted it at 2026-01-01T00:00:00Z; 0 of 1 stages passed"
    assert world.status.history[0].why.endswith(promoted)


def test_a_person_needs_no_reason_to_abort_a_candidate() -> None:
    world = staged()
    world.decide_by_person("Abort")
    world.settle()
    assert world.status.candidate is not None
    assert world.status.returned == (
        ReturnedCandidate(
            model="second",
            version="1.0.0",
            digest="b" * 64,
            entry=entry_id(parse_spec(world.obj["spec"]).registry.active_model),
            rollout=world.status.candidate.rollout,
            reason="Aborted",
            why="alice aborted it",
            at=timestamp(BEGIN),
            by="alice",
        ),
    )


def test_a_person_aborts_a_candidate_and_it_is_not_tried_again() -> None:
    world = staged(CANARY)
    world.decide_by_person("Abort", why="wrong weights")
    world.settle()
    assert_gone(world, serving="first")
    (found,) = world.status.returned
    assert (found.reason, found.by, found.why) == ("Aborted", "alice", "alice aborted it: wrong weights")
    world.obj["metadata"]["annotations"].clear()
    world.settle()
    assert_gone(world, serving="first")


def test_a_decision_about_other_weights_decides_nothing() -> None:
    world = staged(begin=False)
    world.activate("third")
    world.decide_by_person("Promote")
    world.activate("second")
    world.settle()
    assert verdict(world) == "Running"


@pytest.mark.parametrize("text", ["", "null", "{", '{"decision": "Promote"}', json.dumps({"decision": "Maybe"})])
def test_a_decision_that_cannot_be_read_decides_nothing(text: str) -> None:
    world = staged(begin=False)
    world.obj["metadata"]["annotations"] = {names.ANNOTATION_DECISION: text}
    world.activate("second")
    world.settle()
    assert verdict(world) == "Running"


@pytest.mark.parametrize("query", ["", "?X-Signature=s3cret"])
def test_a_stage_goes_on_if_the_entry_of_the_serving_model_leaves_the_registry(query: str) -> None:
    world = World(manifest(entry("first", weightsUrl=f"https://example.org/first.ckpt{query}"), MODELS[1]))
    world.edit(rollout={"stages": [SHADOW]}, serving={"networkPolicy": {}})
    world.settle()
    world.activate("second")
    world.settle()
    run = world.comparison_plan
    world.models(MODELS[1], active="second")
    world.settle()
    assert world.comparison_plan == run
    world.shadow(ENOUGH)
    world.settle()
    assert_gone(world, serving="second")


def test_pods_may_report_more_species_together_than_each_of_them() -> None:
    world = staged(serving={"replicas": 2})
    world.shadow(ENOUGH)
    for number, pod in enumerate(world.pods):
        species = {f"{number}-{index:02}" + "x" * 60: SpeciesPairs(5, 5, 5) for index in range(64)}
        report = pod.shadow or replace(world.pods[0].shadow or ShadowReport(), candidate=PairCounts())
        pod.shadow = replace(report, candidate=replace(report.candidate, by_species=species))
    world.settle()
    assert world.deployed == "second"


@pytest.mark.parametrize("tail", ["?x", "?x" * 10])
def test_an_address_of_the_greatest_length_is_recorded_although_its_query_is_replaced(tail: str) -> None:
    url = "https://example.org/" + "a" * 2028
    world = World(manifest(entry("first", weightsUrl=url[: 2048 - len(tail)] + tail)))
    world.settle()
    assert world.is_("Ready") == ("True", "Serving")
    assert [item.entry.name for item in world.status.served] == ["first"]


@pytest.mark.parametrize(
    "failure",
    [
        ContainerFailure("secrets", "Error", "cannot reach https://vault", exit_code=1),
        ContainerFailure("istio-proxy", "OOMKilled", "", exit_code=137),
    ],
    ids=["its own init container", "of a webhook"],
)
def test_another_container_that_fails_is_no_verdict_about_the_model(failure: ContainerFailure) -> None:
    def behave(pod: FakePod) -> None:
        pod.ready = pod.model == "first"
        pod.failures = () if pod.ready else (failure,)

    world = staged(begin=False)
    world.behave = behave
    world.activate("second")
    world.settle()
    assert (world.is_("CandidatePassed"), returned(world)) == (("Unknown", "Running"), [])
    assert "OtherContainerFails: pod " in world.condition("CandidatePassed").message
    for pod in world.candidate_pods:
        pod.ready, pod.failures = True, ()
    world.settle()
    world.shadow(ENOUGH)
    world.settle()
    assert world.deployed == "second"
