"""A rollout without stages that passes its progress deadline: with `onFailure: Return` the model before serves again."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.approvals import approval_object
from support.kstatus import kstatus
from support.operator_world import World, entry, manifest, model
from support.pods import FakePod

from cetacean_operator.api import names
from cetacean_operator.api.candidate import CandidateStatus, ReturnedCandidate
from cetacean_operator.api.observed import ContainerFailure
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.failed_rollout import was_taken_back
from cetacean_operator.decisions.identity import entry_id, rollout_of
from cetacean_operator.decisions.plan import status_as_applied
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_operator.reconcile.apply_order import apply_order

MODELS = entry("first"), entry("broken", "b"), entry("third", "c")
RETURN: dict[str, Any] = {"rollout": {"onFailure": "Return"}}
CRASH = ContainerFailure("serve", "Error", "Traceback\nKeyError: 'sea'", exit_code=1)


def behave(pod: FakePod) -> None:
    pod.ready = pod.model != "broken"
    pod.failures = () if pod.ready else (CRASH,)


def some_ready(pod: FakePod) -> None:
    """Every third pod of the failing model gets ready, so that it has served."""
    behave(pod)
    pod.ready = pod.ready or pod.number % 3 == 0


def failing(*, replicas: int = 3, **spec: Any) -> World:
    """`first` serves, and the pods of `broken` do not get ready."""
    world = World(manifest(*MODELS, serving={"replicas": replicas}, **spec), behave=behave)
    world.settle()
    world.activate("broken")
    world.settle()
    assert world.deployed == "broken"
    return world


def overdue(world: World) -> World:
    assert world.pass_deadline()
    world.settle()
    return world


def returned(world: World) -> list[tuple[str, str]]:
    return [(one.model, one.reason) for one in world.status.returned]


def test_before_its_deadline_nothing_is_taken_back() -> None:
    world = failing(**RETURN)
    world.wait(seconds=599)
    world.settle()
    assert (world.deployed, returned(world)) == ("broken", [])


def test_the_model_before_serves_again_and_the_failed_one_is_remembered() -> None:
    world = overdue(failing(**RETURN))
    assert world.deployed == "first"
    assert [pod.model for pod in world.pods] == ["first"] * 3
    assert returned(world) == [("broken", "ProgressDeadlineExceeded")]
    assert world.is_("RegistryDiverged") == ("True", "CandidateReturned")
    assert world.is_("Stalled") == ("True", "CandidateReturned")
    assert world.is_("CandidatePassed") == ("False", "ProgressDeadlineExceeded")
    assert kstatus(world.obj) == "Failed"
    message = world.condition("Stalled").message
    assert "whose rollout passed its progress deadline: first 1.0.0 goes on" in message
    assert "CrashLoop: pod " in message
    assert "KeyError: 'sea'. Next: " in message
    assert "#candidate-returned" in message
    newest = world.status.history[0]
    assert (newest.model, newest.reason) == ("first", "ServedBefore")
    assert "progress deadline of 600 s" in newest.why
    assert world.reasons[-2:] == ["Returning", "CandidateReturned"]


def test_a_failed_model_that_the_gate_refuses_now_is_refused_by_the_gate() -> None:
    world = overdue(failing(**RETURN))
    world.edit(gates={"minTNR": 0.99})
    world.settle()
    assert world.is_("GatePassed") == ("False", "GateRefused")
    assert world.is_("RegistryDiverged") == ("True", "GateRefused")
    assert world.is_("Stalled") == ("True", "GateRefused")


def test_pods_that_serve_are_not_restarted_by_it() -> None:
    world = failing(**RETURN)
    serving = [pod.number for pod in world.pods if pod.ready]
    assert [pod.number for pod in overdue(world).pods] == serving


@pytest.mark.parametrize("spec", [{}, {"rollout": {}}, {"rollout": {"onFailure": "Hold"}}])
def test_by_default_and_with_hold_the_rollout_waits_for_a_person(spec: dict[str, Any]) -> None:
    world = overdue(failing(**spec))
    assert (world.deployed, returned(world)) == ("broken", [])
    assert world.is_("Stalled") == ("True", "CrashLoop")
    assert world.is_("Available")[0] == "True"


def test_it_is_not_tried_again_until_its_weights_or_its_configuration_change() -> None:
    world = overdue(failing(**RETURN))
    started = len(world.started)
    world.wait(days=1)
    world.edit(serving={"replicas": 4})
    world.settle()
    world.activate("third")
    world.settle()
    assert world.deployed == "third"
    world.activate("broken")
    world.settle()
    assert world.deployed == "third"
    assert world.is_("RegistryDiverged") == ("True", "CandidateReturned")
    assert "broken" not in world.started[started:]
    world.models(MODELS[0], entry("broken", "d"), MODELS[2])
    world.settle()
    assert world.deployed == "broken"


def one_ready(**spec: Any) -> World:
    """One pod of `broken` gets ready, so it has served, and the others do not: it is taken back."""
    world = World(manifest(*MODELS, serving={"replicas": 3}, **spec))
    world.settle()
    numbers = itertools.count()

    def only_one(pod: FakePod) -> None:
        pod.ready = pod.model != "broken" or next(numbers) == 0

    world.behave = only_one
    world.activate("broken")
    world.settle()
    assert sorted(pod.model for pod in world.pods if pod.ready) == ["broken", "first", "first"]
    return overdue(world)


@pytest.mark.parametrize(
    "let_it_be_tried",
    [
        lambda world: world.edit(rollout={"onFailure": "Hold"}),
        lambda world: world.decide_by_person("Promote"),
    ],
    ids=["the policy was Hold", "a person promoted it"],
)
def test_a_model_that_is_taken_back_twice_is_not_tried_again(let_it_be_tried: Callable[[World], None]) -> None:
    world = one_ready(**RETURN)
    world.wait(seconds=60)
    let_it_be_tried(world)
    world.settle()
    assert overdue(world).deployed == "broken", "it is held"
    world.wait(seconds=60)
    world.edit(rollout={"onFailure": "Return"})
    world.annotations.pop(names.ANNOTATION_DECISION, None)
    started = len(world.started)
    overdue(world)
    assert (world.deployed, world.is_("RegistryDiverged")[1]) == ("first", "CandidateReturned")
    history = world.status.history
    for _ in range(3):
        world.pass_deadline()
        world.settle()
    assert (world.deployed, world.status.history) == ("first", history)
    assert "broken" not in world.started[started:]


def test_stages_that_are_added_afterwards_do_not_send_it_to_all_pods_because_one_was_ready() -> None:
    world = one_ready(**RETURN)
    started = len(world.started)
    world.edit(rollout={"stages": [{"shadow": {}}]})
    world.settle()
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged") == ("True", "CandidateReturned")
    world.behave = lambda pod: setattr(pod, "ready", True)
    world.decide_by_person("Retry")
    world.settle()
    assert (world.deployed, [pod.model for pod in world.candidate_pods]) == ("first", ["broken"])
    assert world.is_("CandidatePassed") == ("Unknown", "Running")
    assert world.started[started:] == []


def test_after_a_later_rollout_of_it_has_gone_well_it_comes_back_at_once() -> None:
    world = one_ready(**RETURN)
    world.edit(rollout={"onFailure": "Hold"})
    world.behave = lambda pod: setattr(pod, "ready", True)
    world.wait(seconds=60)
    world.settle()
    assert world.deployed == "broken"
    for name in ("third", "broken"):
        world.wait(seconds=60)
        world.activate(name)
        world.settle()
    assert (world.deployed, world.status.history[0].reason) == ("broken", "ServedBefore")


def test_a_clock_that_is_set_back_does_not_let_it_come_back_at_once() -> None:
    world = World(manifest(*MODELS, serving={"replicas": 3}, **RETURN), behave=behave)
    world.settle()
    world.activate("broken")
    world.settle()
    world.wait(days=-400)
    overdue(world)
    assert (world.deployed, returned(world)) == ("first", [("broken", "ProgressDeadlineExceeded")])
    world.settle()
    assert world.deployed == "first"
    world.activate("third")
    world.settle()
    world.activate("broken")
    world.settle()
    assert (world.deployed, world.is_("RegistryDiverged")) == ("third", ("True", "CandidateReturned"))


def test_it_is_known_after_the_history_has_dropped_its_rollout() -> None:
    world = overdue(failing(**RETURN))
    spec = parse_spec(world.obj["spec"])
    for kept in (0, 1, 2):
        status = world.status.model_copy(update={"history": world.status.history[:kept]})
        history = ServingHistory(status, status.served, spec.registry.models)
        assert was_taken_back(spec.registry.active_model, spec=spec, history=history)


def test_a_model_that_failed_once_and_has_served_since_is_gone_back_to() -> None:
    world = overdue(failing(**RETURN))
    world.behave = lambda pod: setattr(pod, "ready", True)
    world.decide_by_person("Retry")
    world.settle()
    assert (world.deployed, world.is_("Ready")[0]) == ("broken", "True")
    world.behave = lambda pod: setattr(pod, "ready", pod.model != "third")
    world.wait(seconds=60)
    world.activate("third")
    world.settle()
    assert overdue(world).deployed == "broken"


def test_a_person_lets_it_try_again_and_one_decision_is_one_try() -> None:
    world = overdue(failing(**RETURN))
    world.decide_by_person("Retry")
    world.settle()
    assert world.deployed == "broken"
    assert overdue(world).deployed == "first"
    world.settle()
    assert (world.deployed, returned(world)) == ("first", [("broken", "ProgressDeadlineExceeded")])
    world.wait(seconds=1)
    world.decide_by_person("Retry")
    world.settle()
    assert world.deployed == "broken"


def test_another_threshold_reaches_the_pods_that_serve_and_not_the_failed_model() -> None:
    world = overdue(failing(**RETURN))
    started = len(world.started)
    world.edit(antiFraud={"threshold": 0.0})
    world.settle()
    assert [(pod.model, pod.env["CETACEAN_GATE__THRESHOLD"]) for pod in world.pods] == [("first", "0.0")] * 3
    assert "broken" not in world.started[started:]
    assert world.is_("RegistryDiverged") == ("True", "CandidateReturned")


def test_a_person_who_asks_for_hold_lets_it_be_tried_again() -> None:
    world = overdue(failing(**RETURN))
    world.edit(rollout={"onFailure": "Hold"})
    world.settle()
    assert world.deployed == "broken"


def test_a_person_promotes_it_again_and_it_is_held_then() -> None:
    world = overdue(failing(**RETURN))
    world.decide_by_person("Promote", why="the node has room now")
    world.settle()
    assert world.deployed == "broken"
    newest = world.status.history[0]
    assert newest.decision is not None
    assert (newest.decision.by, "the node has room now" in newest.why) == ("alice", True)
    assert (overdue(world).deployed, world.is_("Stalled")[0]) == ("broken", "True")


def test_a_rollout_that_gets_ready_after_its_deadline_goes_on() -> None:
    world = failing(**RETURN, replicas=1)
    world.pass_deadline()
    for pod in world.pods:
        pod.ready, pod.failures = True, ()
    world.settle()
    assert (world.deployed, world.is_("Ready")) == ("broken", ("True", "Serving"))


def test_one_pod_that_serves_does_not_keep_a_rollout_that_has_failed() -> None:
    world = one_ready(**RETURN)
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged") == ("True", "CandidateReturned"), "though it has served"


def test_a_model_that_has_replaced_all_pods_is_not_taken_back_for_a_later_fault_of_its_pods() -> None:
    world = World(manifest(*MODELS, **RETURN))
    world.settle()
    world.activate("third")
    world.settle()
    world.behave = lambda pod: None
    world.edit(serving={"image": "cetacean-inference:missing"})
    world.settle()
    assert (overdue(world).deployed, returned(world)) == ("third", [])


def test_the_first_model_is_held_because_nothing_served_before() -> None:
    world = World(manifest(MODELS[1], **RETURN), behave=behave)
    world.settle()
    assert (overdue(world).deployed, world.is_("Stalled")[0]) == ("broken", "True")


def test_a_deadline_of_an_earlier_template_takes_nothing_back() -> None:
    world = failing()
    world.pass_deadline()
    world.edit(antiFraud={"threshold": 0.4}, **RETURN)
    world.reconcile()
    assert world.deployed == "broken", "the rollout with the new configuration has its whole time"


def test_it_is_known_after_the_status_was_lost() -> None:
    world = overdue(failing(**RETURN))
    world.obj.pop("status")
    world.settle()
    assert (world.deployed, returned(world)) == ("first", [("broken", "ProgressDeadlineExceeded")])
    world = failing(**RETURN)
    world.obj.pop("status")
    assert overdue(world).deployed == "first"


def test_with_stages_a_rollout_that_fails_after_them_is_held() -> None:
    stage = {"shadow": {"share": 1.0}}
    world = World(manifest(*MODELS, rollout={"stages": [stage], "onFailure": "Return"}))
    world.settle()
    world.activate("broken")
    world.settle()
    world.shadow(1000)
    world.behave = behave
    world.settle()
    assert world.deployed == "broken"
    assert (overdue(world).deployed, returned(world)) == ("broken", [])


ROLLOUT = rollout_of(model("broken", "b"), parse_spec(manifest()["spec"]).anti_fraud).id


def why_it_fails(world: World) -> str:
    """Return what is said of `failing` when its deadline has passed."""
    (number,) = (pod.number for pod in world.pods if not pod.ready)
    return (
        f"its rollout passed the progress deadline of 600 s: CrashLoop: pod whales-{number}, container serve ends with "
        "exit code 1: KeyError: 'sea'"
    )


def test_the_status_names_the_weights_the_configuration_and_the_fault_of_what_was_taken_back() -> None:
    world = failing(**RETURN)
    why = why_it_fails(world)
    at = timestamp(overdue(world).now)
    assert world.status.returned == (
        ReturnedCandidate(
            model="broken",
            version="1.0.0",
            digest="b" * 64,
            entry=entry_id(model("broken", "b")),
            rollout=ROLLOUT,
            reason="ProgressDeadlineExceeded",
            why=why,
            at=at,
        ),
    )
    assert world.status.candidate == CandidateStatus(
        model="broken",
        version="1.0.0",
        digest="b" * 64,
        rollout=ROLLOUT,
        stages=0,
        verdict="ProgressDeadlineExceeded",
        message=f"it was taken back at {at}: {why}",
    )
    assert world.condition("CandidatePassed").message == f"broken 1.0.0: it was taken back at {at}: {why}"


def test_the_model_before_comes_back_although_none_of_its_pods_is_left() -> None:
    world = failing(**RETURN)
    world.pods = [pod for pod in world.pods if pod.model == "broken"]  # the nodes of the others were lost
    assert overdue(world).deployed == "first"


def test_a_model_that_was_taken_back_itself_is_not_the_one_to_go_back_to() -> None:
    world = World(manifest(*MODELS, serving={"replicas": 3}, **RETURN))
    world.settle()
    numbers = itertools.count()
    world.behave = lambda pod: setattr(pod, "ready", next(numbers) == 0)
    world.activate("broken")
    world.settle()
    overdue(world)
    world.activate("first")
    world.settle()
    assert sorted(pod.model for pod in world.pods if pod.ready) == ["broken", "first", "first"]
    assert (overdue(world).deployed, world.is_("Stalled")[0]) == ("first", "True")


def test_who_aborts_a_model_does_not_keep_it_from_being_taken_back() -> None:
    world = failing(**RETURN)
    world.decide_by_person("Abort")
    assert overdue(world).deployed == "first"


@pytest.mark.parametrize(("why", "shown"), [("the node has room now", ": the node has room now"), (None, "")])
def test_the_history_says_who_let_it_be_tried_again_and_why_it_had_failed(why: str | None, shown: str) -> None:
    world = failing(**RETURN)
    fault = why_it_fails(world)
    overdue(world).wait(hours=1)
    world.decide_by_person("Promote", why=why)
    world.settle()
    promoted = f"; broken 1.0.0: alice promoted it at {timestamp(world.now)}{shown}; {fault}"
    assert world.status.history[0].why.endswith(promoted)


def test_a_promotion_by_a_person_waits_for_approvals_that_were_withdrawn_since() -> None:
    release = {"version": "1.0.1", "metricsSnapshot": "reports/broken.json"}
    world = World(manifest(MODELS[0], entry("broken", "b", **release), **RETURN), behave=behave)
    world.settle()
    world.edit(approval={})
    world.approvals.append(approval_object("alice", at=world.now, candidate="broken"))
    world.activate("broken")
    world.settle()
    assert overdue(world).deployed == "first"
    world.approvals.clear()
    world.decide_by_person("Promote")
    world.settle()
    assert (world.deployed, world.is_("Stalled")) == ("first", ("True", "ApprovalMissing"))
    assert world.is_("CandidatePassed") == ("True", "PromotedByPerson")


class Life(RuleBasedStateMachine):
    """Rollouts, people, pods and an operator that may end at any time."""

    @initialize(on_failure=st.sampled_from(["Return", "Hold", None]), replicas=st.integers(1, 3), some=st.booleans())
    def begin(self, on_failure: str | None, replicas: int, *, some: bool) -> None:
        rollout = {"onFailure": on_failure} if on_failure else {}
        behaviour = some_ready if some else behave
        self.world = World(manifest(*MODELS, serving={"replicas": replicas}, rollout=rollout), behave=behaviour)
        self.world.settle()
        self.promoted = False

    @rule(name=st.sampled_from([model["name"] for model in MODELS]))
    def activate(self, name: str) -> None:
        self.world.activate(name)

    @rule(on_failure=st.sampled_from(["Return", "Hold"]))
    def change_the_policy(self, on_failure: str) -> None:
        self.world.edit(rollout={"onFailure": on_failure})

    @rule(replicas=st.integers(0, 3))
    def scale(self, replicas: int) -> None:
        self.world.edit(serving={"replicas": replicas})

    @rule()
    def a_person_promotes(self) -> None:
        self.world.decide_by_person("Promote")

    @rule()
    def the_deadline_passes(self) -> None:
        self.world.pass_deadline()

    @rule()
    def lose_the_status(self) -> None:
        self.world.obj.pop("status", None)

    @rule(writes=st.integers(1, 4))
    def the_operator_ends_between_two_writes(self, writes: int) -> None:
        plan = self.world.decide()
        for child in itertools.islice((child for group in apply_order(plan.apply) for child in group), writes):
            self.world.apply(child)

    @rule(steps=st.integers(1, 3))
    def a_little_happens(self, steps: int) -> None:
        for _ in range(steps):
            self.world.reconcile()
            self.world.roll()

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def a_pod_fails(self, data: st.DataObject) -> None:
        pod = data.draw(st.sampled_from(self.world.pods))
        pod.ready, pod.failures = False, (CRASH,)

    @rule()
    def everything_happens(self) -> None:
        self.world.settle()

    @invariant()
    def it_settles_and_no_deadline_brings_back_what_has_failed(self) -> None:
        world = copy.deepcopy(self.world)
        world.settle()
        plan = world.decide()
        assert (plan.apply, plan.delete, plan.events) == ((), (), ())
        assert status_as_applied(plan.status) == world.obj["status"]
        # Each deadline that passes takes back at most one model; afterwards nothing changes any more.
        for _ in range(len(MODELS)):
            world.pass_deadline()
            world.settle()
        end = world.deployed
        world.pass_deadline()
        world.settle()
        assert world.deployed == end
        active = world.obj["spec"]["registry"]["active"]
        on_failure = world.obj["spec"]["rollout"].get("onFailure")
        if end != active:
            assert (on_failure, world.is_("Stalled")[1]) == ("Return", "CandidateReturned")
        served = {item.entry.name for item in world.status.served}
        by_person = "ecomarineai.org/candidate-decision" in world.annotations
        has_pods = world.obj["spec"]["serving"]["replicas"] > 0
        if (on_failure, active, by_person, has_pods) == ("Return", "broken", False, True) and served - {"broken"}:
            assert end != "broken" or world.is_("Ready")[0] == "True"


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=60, stateful_step_count=10, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)
