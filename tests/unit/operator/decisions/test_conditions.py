"""Conditions after kstatus, their times, the emergency, and specs that cannot be read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from support.kstatus import kstatus
from support.operator_world import BEGIN, World, entry, manifest, model
from support.pods import NO_ANSWER, ready_pod

from cetacean_operator.api import names
from cetacean_operator.api.candidate import CandidateStatus
from cetacean_operator.api.observed import CetaceanModel, Observed, Pod
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import Condition, ModelRef, Rollback, Status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.conditions import add_times, invalid_spec, rollout_conditions
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.failures import Failure
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.rollout_state import RolloutState, WrongReport
from cetacean_operator.decisions.stages import Stages, StageState

SIGNATURE = {"keys": [{"configMapKeyRef": {"name": "signers", "key": "release.pub"}}]}


def test_kstatus_agrees_over_the_life_of_a_resource() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), entry("bad", "c", metrics={"tnr": 0.1})))
    world.reconcile()
    assert kstatus(world.obj) == "InProgress"
    world.settle()
    assert kstatus(world.obj) == "Current"
    world.activate("bad")
    assert kstatus(world.obj) == "InProgress", "not seen yet"
    world.settle()
    assert kstatus(world.obj) == "Failed"
    world.activate("second")
    world.reconcile()
    assert kstatus(world.obj) == "InProgress"
    world.settle()
    assert kstatus(world.obj) == "Current"


def test_all_conditions_are_present_in_order() -> None:
    image = entry("first", weightsUrl=f"oci://registry.test/whales@sha256:{'a' * 64}")
    serving = {
        "autoscaling": {},
        "signature": SIGNATURE,
        "route": {"parentRefs": [{"name": "public"}]},
        "prefetch": "All",
        "weightsCache": {"persistentVolumeClaim": {"claimName": "c"}},
    }
    world = World(manifest(image, serving=serving, approval={}, rollout={"stages": [{"shadow": {}}]}))
    world.reconcile()
    assert tuple(condition.type for condition in world.status.conditions) == names.CONDITIONS
    for condition in world.status.conditions:
        assert condition.reason.isalnum()
        assert condition.message


def test_a_resource_with_children_to_apply_is_not_ready_although_its_pods_serve() -> None:
    world = World()
    world.settle()
    del world.children["Service", "whales"]
    plan = world.decide()
    ready, reconciling = plan.status.condition("Ready"), plan.status.condition("Reconciling")
    assert ready is not None
    assert reconciling is not None
    assert (ready.status, ready.reason, reconciling.status) == ("False", "RollingOut", "True")


def test_the_transition_time_moves_only_with_the_status() -> None:
    world = World()
    world.settle()
    world.wait(minutes=5)
    world.edit(serving={"replicas": 3})
    world.reconcile()
    assert world.condition("Ready").status == "False"
    assert world.condition("Ready").last_transition_time == timestamp(world.now)
    assert "1 of 3" in world.condition("Available").message
    assert world.condition("Available").last_transition_time == timestamp(BEGIN), "True stays True"


class TestDisabledGate:
    """A threshold of 0.0 accepts everything."""

    @pytest.fixture
    def world(self) -> World:
        world = World(manifest(antiFraud={"threshold": 0.0}))
        world.settle()
        return world

    def test_the_condition_says_since_when_the_gate_is_disabled(self, world: World) -> None:
        assert world.is_("AntiFraudDisabled") == ("True", "ThresholdZero")
        assert timestamp(BEGIN) in world.condition("AntiFraudDisabled").message
        assert world.status.anti_fraud is not None
        assert world.status.anti_fraud.disabled_since == timestamp(BEGIN)
        assert world.reasons.count("AntiFraudDisabled") == 1
        assert world.is_("Ready")[0] == "True", "it serves as configured"

    def test_the_resource_is_reconciled_again_after_a_day(self, world: World) -> None:
        world.wait(hours=1)
        assert world.decide().requeue_after == 23 * 3600

    def test_the_beginning_stays_although_less_than_a_second_is_over(self, world: World) -> None:
        world.wait(milliseconds=500)
        assert world.decide().requeue_after == 24 * 3600 - 0.5

    def test_after_a_day_recalibration_is_overdue_with_one_event(self, world: World) -> None:
        world.wait(hours=24)
        world.settle()
        world.wait(hours=24)
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("True", "RecalibrationOverdue")
        assert world.condition("AntiFraudDisabled").last_transition_time == timestamp(BEGIN)
        assert world.reasons.count("RecalibrationOverdue") == 1
        assert world.decide().requeue_after is None

    def test_a_threshold_enables_the_gate_again(self, world: World) -> None:
        world.edit(antiFraud={"threshold": 0.4})
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("False", "Enabled")
        assert world.status.anti_fraud is not None
        assert world.status.anti_fraud.disabled_since is None
        assert world.reasons[-2:] == ["Serving", "AntiFraudEnabled"], "enabled once no pod accepts everything any more"

    def test_disabling_the_gate_again_starts_another_day(self, world: World) -> None:
        world.edit(antiFraud={"threshold": 0.4})
        world.settle()
        world.wait(hours=48)
        world.edit(antiFraud={"threshold": 0.0})
        world.settle()
        assert world.is_("AntiFraudDisabled") == ("True", "ThresholdZero")


def test_a_pod_that_reports_another_threshold_serves_the_wrong_model() -> None:
    world = World(manifest(antiFraud={"threshold": 0.52}))
    world.settle()
    world.pods[0].reports = {"threshold": 0.3}
    world.settle()
    ready = world.status.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "WrongModel")
    assert "expected 0.52, got 0.3" in ready.message


def test_a_pod_that_accepts_everything_raises_anti_fraud_disabled_whatever_the_spec_says() -> None:
    world = World(manifest(antiFraud={"threshold": 0.52}))
    world.settle()
    world.pods[0].reports = {"threshold": 0.0}
    world.settle()
    disabled = world.status.condition("AntiFraudDisabled")
    assert disabled is not None
    assert (disabled.status, disabled.reason) == ("True", "ThresholdZero")
    assert "expected 0.52" in disabled.message


class TestInvalidSpec:
    """A spec that the CRD's schema would have refused."""

    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.settle()
        world.edit(registry={"active": "nobody"}, antiFraud={"threshold": 7})
        return world

    def test_an_invalid_spec_becomes_a_condition_and_changes_no_child(self, world: World) -> None:
        children = copy.deepcopy(world.children)
        plan = world.settle()
        assert not plan.apply
        assert not plan.delete
        assert world.children == children
        assert world.is_("Stalled") == ("True", "InvalidSpec")
        assert world.is_("Ready") == ("False", "InvalidSpec")
        for part in ("nobody", "antiFraud.threshold", "7"):
            assert part in world.condition("Stalled").message
        assert world.reasons.count("InvalidSpec") == 1
        assert world.status.observed_generation == 2

    def test_an_invalid_spec_keeps_the_rest_of_the_status(self, world: World) -> None:
        before = world.status
        world.settle()
        assert world.status.serving == before.serving
        assert world.status.history == before.history
        assert {item.type for item in world.status.conditions} == {item.type for item in before.conditions}

    def test_a_corrected_spec_makes_the_resource_ready(self, world: World) -> None:
        world.settle()
        world.edit(registry={"active": "first"}, antiFraud={"threshold": 0.5})
        world.settle()
        assert world.is_("Ready") == ("True", "Serving")

    @pytest.mark.parametrize("spec", [{}, {"registry": None}, {"registry": []}, {"serving": {"image": "x"}}])
    def test_a_spec_of_another_shape_is_invalid(self, spec: dict[str, Any]) -> None:
        world = World()
        world.obj["spec"] = spec
        world.settle()
        assert world.is_("Stalled") == ("True", "InvalidSpec")


def test_a_name_conflict_is_reported_and_nothing_applied() -> None:
    world = World()
    observed = Observed(name_conflict="Deployment whales")
    plan = decide(CetaceanModel.of(world.obj), observed, BEGIN)
    assert plan.apply == ()
    stalled = plan.status.condition("Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "NameTaken")
    assert "Deployment whales exists and is not this resource's" in stalled.message


def test_a_refusal_of_the_api_server_is_reported() -> None:
    plan = decide(CetaceanModel.of(World().obj), Observed(refused="the API server refused a child: quota"), BEGIN)
    ready = plan.status.condition("Ready")
    assert ready is not None
    assert (ready.reason, ready.message) == ("ApplyRefused", "the API server refused a child: quota")


def deployment_says(text: str) -> World:
    world = World(behave=lambda pod: None)
    world.settle()
    world.pass_deadline()
    assert world.deployment is not None
    world.deployment["status"]["conditions"][0]["message"] = text
    return world


def autoscaler_says(text: str, reason: str = "FailedGetResourceMetric") -> World:
    world = World(manifest(serving={"autoscaling": {"minReplicas": 1}}))
    world.settle()
    world.children["HorizontalPodAutoscaler", "whales"]["status"] = {
        "conditions": [
            {
                "type": "ScalingActive",
                "status": "False",
                "reason": reason,
                "message": text,
                "lastTransitionTime": timestamp(BEGIN),
            }
        ]
    }
    world.wait(hours=1)
    return world


def reader_says(text: str) -> World:
    world = World(manifest(entry("first"), entry("second", "b"), approval={}), approvals_unreadable=text)
    world.obj["spec"].pop("approval")
    world.settle()
    world.edit(approval={})
    world.activate("second")
    return world


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        (deployment_says, "Stalled"),
        (autoscaler_says, "AutoscalingInactive"),
        (reader_says, "Stalled"),
    ],
)
def test_a_text_from_outside_is_cut_and_the_next_step_stays(says: Callable[[str], World], kind: str) -> None:
    world = says("\x1b[31m\n" + "x" * 40_000)
    world.settle()
    found = world.condition(kind)
    assert found.status == "True"
    assert len(found.message) <= 32_768
    assert "\ufffd[31m xxx" in found.message
    assert "xxx\u2026. Next: " in found.message
    assert "; runbook: " in found.message


def test_a_reason_from_outside_is_cut() -> None:
    world = autoscaler_says("x", reason="R" * 2000)
    world.settle()
    assert world.condition("AutoscalingInactive").reason == "R" * 1023 + "\u2026"


# --- Whole conditions -------------------------------------------------------------------------------------------------

FIRST, SECOND = model("first"), model("second", "b")
GATE = ConditionState("True", "GatePassed", "second passes against first")
REFUSED = ConditionState("False", "GateRefused", "second is worse")
CRASH = Failure("CrashLoop", "pod p2 ends with exit code 1", final=True)
PENDING = Failure("Unschedulable", "pod p2: no node has room", final=False)
A, B = "a" * 64, "b" * 64


def state_of(
    *ready: Pod,
    wanted: int = 1,
    current: int | None = None,
    digests: tuple[str, ...] = (A,),
    wrong: tuple[WrongReport, ...] = (),
    rolled_out: bool = True,
) -> RolloutState:
    """Return a state in which the first `current` of the ready pods, by default all, serve what is wanted."""
    return RolloutState(
        wanted=wanted,
        pods=ready,
        ready=ready,
        serving=None,
        rolled_out=rolled_out,
        current=ready if current is None else ready[:current],
        wrong=wrong,
        digests=frozenset(digests),
        unready=(),
    )


COMPLETE = state_of(ready_pod(1))
NOTHING = state_of(digests=())
STARTING = state_of(ready_pod(1), wanted=2)


def found(
    state: RolloutState = COMPLETE,
    *,
    active: Model = FIRST,
    choice: Choice | None = None,
    failure: Failure | None = None,
    pending: bool = False,
    blocked: ConditionState | None = None,
    unverified: tuple[str, ...] = (),
) -> dict[str, ConditionState]:
    return rollout_conditions(
        active=active,
        choice=choice or Choice(active, GATE),
        state=state,
        failure=failure,
        pending=pending,
        blocked=blocked,
        unverified=unverified,
    )


def staged(state: StageState, *, stages: int = 2) -> Choice:
    """`first` serves while `second` is in this state."""
    condition = ConditionState("Unknown", "Running", "second 1.0.0, stage 1 of 2 (Shadow): 0 pictures")
    shown = CandidateStatus(model="second", version="1.0.0", rollout="r", stages=stages, verdict="Running", message="")
    return Choice(FIRST, GATE, stages=Stages(state, condition, shown))


def test_a_resource_that_serves_what_the_registry_names_is_ready() -> None:
    ready = ConditionState("True", "Serving", f"1 of 1 wanted replicas serve first 1.0.0 (sha256:{A})")
    assert found() == {
        "Ready": ready,
        "Reconciling": ready._replace(status="False"),
        "Stalled": ready._replace(status="False"),
        "Available": ConditionState("True", "PodsReady", "1 of 1 wanted pods answer"),
        "Progressing": ConditionState("False", "RolloutComplete", "1 of 1 replicas are up to date"),
        "WeightsVerified": ConditionState(
            "True", "Verified", f"https://example.org/first.ckpt: pods loaded sha256:{A} as expected"
        ),
        "GatePassed": GATE,
        "RegistryDiverged": ConditionState(
            "False", "InSync", "the Deployment is to serve what the registry names: first 1.0.0"
        ),
    }


def test_a_resource_of_which_no_model_may_serve_is_stalled() -> None:
    diverged = ConditionState(
        "True", "GateRefused", "the registry names second 1.0.0, which the gate refused: nothing serves"
    )
    ready = diverged._replace(status="False", message=f"{diverged.message}. second is worse")
    assert found(NOTHING, active=SECOND, choice=Choice(None, REFUSED)) == {
        "Ready": ready,
        "Reconciling": ready,
        "Stalled": ready._replace(status="True"),
        "Available": ConditionState("False", "NoPodReady", "none of 1 wanted pods answers"),
        "Progressing": ConditionState("False", "NothingToRollOut", "no model may be served yet"),
        "WeightsVerified": ConditionState("Unknown", "NothingServes", "no model may be served yet"),
        "GatePassed": REFUSED,
        "RegistryDiverged": diverged,
    }


def test_a_resource_whose_pods_fail_for_good_is_stalled() -> None:
    mismatch = Failure("DigestMismatch", "pod p2: expected a, got c", final=True)
    ready = ConditionState(
        "False", "DigestMismatch", "1 of 2 wanted replicas serve first 1.0.0; pod p2: expected a, got c"
    )
    conditions = found(STARTING, failure=mismatch)
    assert conditions["Ready"] == conditions["Reconciling"] == ready
    assert conditions["Stalled"] == ready._replace(status="True")
    failing = ConditionState("False", "DigestMismatch", "pod p2: expected a, got c")
    assert (conditions["Progressing"], conditions["WeightsVerified"]) == (failing, failing)


@pytest.mark.parametrize(
    ("choice", "expected", "why"),
    [
        (
            Choice(FIRST, REFUSED),
            ("True", "GateRefused", "which the gate refused: first 1.0.0 goes on"),
            "second is worse",
        ),
        (
            Choice(FIRST, GATE, approved=ConditionState("False", "ApprovalMissing", "1 of 1 reviews is missing")),
            ("True", "ApprovalMissing", "which waits for approval: first 1.0.0 goes on"),
            "1 of 1 reviews is missing",
        ),
        (
            Choice(None, GATE, approved=ConditionState("False", "ApprovalMissing", "1 of 1 reviews is missing")),
            ("True", "ApprovalMissing", "which waits for approval: nothing serves"),
            "1 of 1 reviews is missing",
        ),
        (
            staged(StageState.RUNNING),
            ("False", "StagesRunning", "which runs its stages: first 1.0.0 goes on"),
            None,
        ),
        (
            staged(StageState.HELD),
            ("True", "CandidateHeld", "which waits for a person: first 1.0.0 goes on"),
            "second 1.0.0, stage 1 of 2 (Shadow): 0 pictures",
        ),
        (
            staged(StageState.RETURNED),
            ("True", "CandidateReturned", "which did not pass its stages: first 1.0.0 goes on"),
            "second 1.0.0, stage 1 of 2 (Shadow): 0 pictures",
        ),
        (
            staged(StageState.RETURNED, stages=0),
            ("True", "CandidateReturned", "whose rollout passed its progress deadline: first 1.0.0 goes on"),
            "second 1.0.0, stage 1 of 2 (Shadow): 0 pictures",
        ),
    ],
)
def test_while_another_model_serves_than_the_registry_names_the_conditions_say_why(
    choice: Choice, expected: tuple[str, str, str], why: str | None
) -> None:
    status, reason, message = expected
    message = f"the registry names second 1.0.0, {message}"
    conditions = found(active=SECOND, choice=choice)
    assert conditions["RegistryDiverged"] == (status, reason, message)
    if why:
        assert conditions["Ready"] == ("False", reason, f"{message}. {why}")
        assert (conditions["Stalled"].status, conditions["Reconciling"].status) == ("True", "False")
    else:
        assert conditions["Ready"] == (
            "False",
            "StagesRunning",
            "1 of 1 wanted replicas serve first 1.0.0; second 1.0.0, stage 1 of 2 (Shadow): 0 pictures",
        )
        assert (conditions["Stalled"].status, conditions["Reconciling"].status) == ("False", "True")


@pytest.mark.parametrize(("target", "serves"), [(FIRST, "first 1.0.0"), (None, "nothing")])
def test_a_model_that_was_rolled_back_is_named_with_the_ways_to_end_it(target: Model | None, serves: str) -> None:
    rollback = Rollback(
        rejected=ModelRef(name="second"),
        rejected_url=SECOND.weights_url,
        restored=ModelRef(name="first"),
        at=timestamp(BEGIN),
        why="it drifted",
    )
    rejected = ConditionState("False", "RolledBack", "it drifted")
    message = (
        f"the registry names second 1.0.0, which was rolled back: {serves} serves until spec.registry.active names "
        "another model, or spec.drift.onAlarm is Alert"
    )
    conditions = found(active=SECOND, choice=Choice(target, rejected, rollback=rollback))
    assert conditions["RegistryDiverged"] == ("True", "RolledBack", message)
    assert conditions["Ready"] == ("False", "RolledBack", f"{message}. it drifted")


SILENT = ready_pod(2, identity=None)


@pytest.mark.parametrize(
    ("state", "failure", "pending", "reason", "message"),
    [
        (COMPLETE, None, True, "RollingOut", "1 of 1 wanted replicas serve first 1.0.0"),
        (STARTING, None, False, "RollingOut", "1 of 2 wanted replicas serve first 1.0.0"),
        (
            STARTING,
            PENDING,
            False,
            "Unschedulable",
            "1 of 2 wanted replicas serve first 1.0.0; pod p2: no node has room",
        ),
        (
            state_of(ready_pod(1), current=0, wrong=(WrongReport("pod p1 serves another model"), WrongReport("p2"))),
            None,
            False,
            "WrongModel",
            "0 of 1 wanted replicas serve first 1.0.0; pod p1 serves another model",
        ),
        (
            state_of(ready_pod(1), ready_pod(2), wanted=2, digests=(A, B)),
            None,
            False,
            "DigestsDiffer",
            "2 of 2 wanted replicas serve first 1.0.0; pods loaded different weights from the same address",
        ),
        (
            state_of(ready_pod(1), SILENT, wanted=2, current=1),
            None,
            False,
            "PodSilent",
            "1 of 2 wanted replicas serve first 1.0.0; pod p2 does not report what it serves: no answer yet",
        ),
        (
            state_of(ready_pod(3, identity=None, silent=NO_ANSWER), SILENT, current=0, digests=()),
            None,
            False,
            "PodSilent",
            f"0 of 1 wanted replicas serve first 1.0.0; pod p3 does not report what it serves: {NO_ANSWER}",
        ),
        (
            state_of(SILENT, wanted=2, current=0, digests=()),
            None,
            False,
            "RollingOut",
            "0 of 2 wanted replicas serve first 1.0.0",
        ),
    ],
    ids=[
        "something is to be applied",
        "a pod starts",
        "a pod has no node",
        "a pod reports something else",
        "two digests",
        "a pod does not answer",
        "no pod answers",
        "a silent pod and one that starts",
    ],
)
def test_why_a_resource_is_not_ready(
    state: RolloutState, failure: Failure | None, pending: bool, reason: str, message: str
) -> None:
    conditions = found(state, failure=failure, pending=pending)
    assert conditions["Ready"] == ("False", reason, message)
    assert (conditions["Stalled"].status, conditions["Reconciling"].status) == ("False", "True")


@pytest.mark.parametrize(("failure", "stalled"), [(None, "False"), (PENDING, "False"), (CRASH, "True")])
def test_only_a_final_failure_stalls_a_rollout(failure: Failure | None, stalled: str) -> None:
    assert found(STARTING, failure=failure)["Stalled"].status == stalled


def test_what_blocks_a_resource_stalls_it() -> None:
    taken = ConditionState("False", "NameTaken", "Deployment whales exists and is not this resource's")
    conditions = found(blocked=taken)
    assert (conditions["Ready"], conditions["Reconciling"]) == (taken, taken)
    assert conditions["Stalled"] == taken._replace(status="True")


def test_a_resource_that_wants_no_replica_is_ready_and_not_available() -> None:
    conditions = found(state_of(wanted=0, digests=()))
    assert conditions["Ready"] == ("True", "ScaledToZero", "no replica of first 1.0.0 is wanted")
    assert conditions["Available"] == ("False", "ScaledToZero", "no replica is wanted")
    assert conditions["Progressing"] == ("False", "RolloutComplete", "0 of 0 replicas are up to date")
    assert conditions["WeightsVerified"] == ("Unknown", "NotLoadedYet", "no pod has loaded first 1.0.0 yet")


@pytest.mark.parametrize(
    ("state", "failure", "expected"),
    [
        (STARTING, None, ("True", "RollingOut", "1 of 2 replicas are up to date")),
        (STARTING, CRASH, ("False", "CrashLoop", "pod p2 ends with exit code 1")),
        (COMPLETE, CRASH, ("False", "RolloutComplete", "1 of 1 replicas are up to date")),
    ],
)
def test_whether_a_rollout_progresses(
    state: RolloutState, failure: Failure | None, expected: tuple[str, str, str]
) -> None:
    assert found(state, failure=failure)["Progressing"] == expected


NO_DIGEST = model("first", None, weightsUrl="https://example.org/first.ckpt?signature=1")


@pytest.mark.parametrize(
    ("active", "state", "unverified", "expected"),
    [
        (
            FIRST,
            state_of(wrong=(WrongReport("another rollout"), WrongReport("pod p2 serves other weights", True))),
            (),
            ("False", "DigestMismatch", "pod p2 serves other weights"),
        ),
        (
            FIRST,
            state_of(wrong=(WrongReport("pod p2 serves another rollout"),)),
            (),
            ("True", "Verified", f"https://example.org/first.ckpt: pods loaded sha256:{A} as expected"),
        ),
        (
            NO_DIGEST,
            state_of(digests=(B, A)),
            (),
            (
                "False",
                "DigestsDiffer",
                f"https://example.org/first.ckpt?…: pods loaded sha256:{A}, sha256:{B}",
            ),
        ),
        (
            NO_DIGEST,
            COMPLETE,
            (),
            ("Unknown", "NoDigest", f"the registry names no sha256 for first 1.0.0; pods loaded sha256:{A}"),
        ),
        (NO_DIGEST, NOTHING, (), ("Unknown", "NotLoadedYet", "no pod has loaded first 1.0.0 yet")),
        (
            FIRST,
            COMPLETE,
            ("gate weights", "classes"),
            (
                "Unknown",
                "FilesUnverified",
                f"https://example.org/first.ckpt: pods loaded sha256:{A} as expected; no digest for gate weights, classes",
            ),
        ),
    ],
    ids=[
        "a pod has other weights",
        "a pod reports something else",
        "two digests",
        "no digest in the registry",
        "no pod",
        "other files without a digest",
    ],
)
def test_whether_the_weights_of_pods_are_those_of_the_registry(
    active: Model, state: RolloutState, unverified: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    assert found(state, active=active, unverified=unverified)["WeightsVerified"] == expected


def test_a_spec_that_cannot_be_read_has_three_conditions_about_it() -> None:
    assert invalid_spec("registry: no models") == {
        "Ready": ConditionState("False", "InvalidSpec", "registry: no models"),
        "Reconciling": ConditionState("False", "InvalidSpec", "registry: no models"),
        "Stalled": ConditionState("True", "InvalidSpec", "registry: no models"),
    }


def test_conditions_get_times_and_a_generation_in_a_fixed_order() -> None:
    before, now = timestamp(BEGIN), "2026-01-02T00:00:00Z"

    def condition(kind: str, status: Any, at: str, generation: int, reason: str = "R", text: str = "t") -> Condition:
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message=text,
            last_transition_time=at,
            observed_generation=generation,
        )

    last = Status(conditions=(condition("Ready", "True", before, 1), condition("Stalled", "True", before, 1)))
    states = {
        "Available": ConditionState("True", "PodsReady", "1 of 1\nwanted pods answer"),
        "Stalled": ConditionState("False", "Serving", "x"),
        "Ready": ConditionState("True", "Serving", "y"),
    }
    assert add_times(states, last, 7, now) == (
        condition("Ready", "True", before, 7, "Serving", "y"),
        condition("Stalled", "False", now, 7, "Serving", "x"),
        condition("Available", "True", now, 7, "PodsReady", "1 of 1 wanted pods answer"),
    )
