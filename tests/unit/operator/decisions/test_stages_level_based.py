"""Whatever happens to a candidate in whatever order: it is promoted, or gone, or held for a person."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.operator_world import SURE, World, entry, manifest
from support.pods import FakePod, Scraped

from cetacean_operator.decisions.plan import status_as_applied
from cetacean_operator.decisions.stage_record import read_stage_record
from cetacean_operator.reconcile.apply_order import apply_order

MODELS = (
    entry("first", "a", metrics=SURE),
    entry("equal", "b", metrics=SURE),
    entry("unnamed", None, metrics=SURE),
    entry("permuted", "c", metrics=SURE),
    entry("crashing", "d", metrics=SURE),
)
NAMES = [model["name"] for model in MODELS]
UNPROVEN = {"permuted", "crashing"}
SHADOW: dict[str, Any] = {"shadow": {"share": 1.0}, "timeoutSeconds": 3600}
CANARY: dict[str, Any] = {"canary": {"weight": 50, "require": {"holdForSeconds": 60}}, "timeoutSeconds": 3600}
STAGES = ([SHADOW], [CANARY], [SHADOW, CANARY], [SHADOW, {"shadow": {"share": 0.5}, "timeoutSeconds": 60}])
OVER = {"Disagrees", "Slower", "Failing", "Inconclusive", "Aborted", "Impossible"}


def behave(pod: FakePod) -> None:
    pod.ready = pod.model != "crashing"


class Life(RuleBasedStateMachine):
    """A resource with stages, people, pods and an operator that may end at any time."""

    @initialize(
        stages=st.sampled_from(STAGES),
        on_failure=st.sampled_from(["Return", "Hold"]),
        on_inconclusive=st.sampled_from(["Return", "Hold"]),
        on_alarm=st.sampled_from(["Alert", "Rollback"]),
        network_policy=st.sampled_from([None, {}]),
    )
    def begin(
        self, stages: list[Any], on_failure: str, on_inconclusive: str, on_alarm: str, network_policy: Any
    ) -> None:
        rollout = {"stages": stages, "onFailure": on_failure, "onInconclusive": on_inconclusive}
        spec: dict[str, Any] = {
            "rollout": rollout,
            "drift": {"onAlarm": on_alarm},
            "serving": {"networkPolicy": network_policy},
        }
        self.world = World(manifest(*MODELS, **spec), behave=behave)
        self.world.settle()
        self.promoted_by_person: set[str] = set()

    @rule(name=st.sampled_from(NAMES))
    def activate(self, name: str) -> None:
        self.world.activate(name)

    @rule(threshold=st.sampled_from([0.4, 0.52]))
    def recalibrate(self, threshold: float) -> None:
        self.world.edit(antiFraud={"threshold": threshold})

    @rule(replicas=st.integers(0, 2))
    def scale(self, replicas: int) -> None:
        self.world.edit(serving={"replicas": replicas})

    @rule(stages=st.sampled_from(STAGES))
    def change_the_stages(self, stages: list[Any]) -> None:
        self.world.edit(rollout={"stages": stages})

    @precondition(lambda self: self.world.comparison_plan and self.world.pods)
    @rule(pairs=st.sampled_from([0, 100, 1000]))
    def copy_pictures(self, pairs: int) -> None:
        plan = self.world.comparison_plan
        assert plan is not None
        if plan["candidate"]["name"] == "first":
            self.world.compare(surer=pairs)  # drift compares the model before
        else:
            bad = pairs if plan["candidate"]["name"] in UNPROVEN else 0
            self.world.shadow(pairs, species=bad, individual=bad)

    @precondition(lambda self: self.world.pods)
    @rule(requests=st.sampled_from([1, 30, 1000]))
    def clients_ask(self, requests: int) -> None:
        bad = any(pod.model in UNPROVEN for pod in self.world.candidate_pods)
        self.world.answer_clients(requests, candidate_errors=1.0 if bad else 0.0)

    @rule(decision=st.sampled_from(["Promote", "Abort", "Retry"]))
    def a_person_decides(self, decision: str) -> None:
        if decision == "Promote":
            self.promoted_by_person.add(self.world.obj["spec"]["registry"]["active"])
        self.world.decide_by_person(decision)

    @rule(probability=st.sampled_from([0.5, 0.9]))
    def identify(self, probability: float) -> None:
        self.world.identify(probability)

    @precondition(lambda self: self.world.children)
    @rule(data=st.data())
    def delete_a_child(self, data: st.DataObject) -> None:
        # Not the Deployment N: who deletes it deletes what remembers the candidates that were removed.
        others = [ref for ref in sorted(self.world.children) if ref != ("Deployment", "whales")]
        if others:
            del self.world.children[data.draw(st.sampled_from(others))]

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def a_pod_is_not_asked_yet(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.world.pods)).scraped = Scraped.NOT_YET

    @rule()
    def all_pods_are_asked(self) -> None:
        for pod in (*self.world.pods, *self.world.candidate_pods):
            pod.scraped = Scraped.ANSWERED

    @rule()
    def lose_the_status(self) -> None:
        self.world.obj.pop("status", None)

    @rule(seconds=st.sampled_from([-400 * 24 * 3600, -60, 30, 90, 4000]))
    def set_the_clock(self, seconds: int) -> None:
        self.world.wait(seconds=seconds)

    @rule(writes=st.integers(1, 6))
    def the_operator_ends_between_two_writes(self, writes: int) -> None:
        plan = self.world.decide()
        applied = [child for group in apply_order(plan.apply) for child in group]
        for child in itertools.islice(applied, writes):
            self.world.apply(child)
        for child_ref in itertools.islice(plan.delete, max(0, writes - len(applied))):
            del self.world.children[child_ref.kind, child_ref.name]

    @rule(steps=st.integers(1, 3))
    def a_little_happens(self, steps: int) -> None:
        for _ in range(steps):
            self.world.reconcile()
            self.world.roll()

    @rule()
    def everything_happens(self) -> None:
        self.world.settle()

    @invariant()
    def no_unproven_model_replaces_what_serves(self) -> None:
        assert not (UNPROVEN & set(self.world.started)) - self.promoted_by_person

    @invariant()
    def it_settles_and_then_reaches_an_end(self) -> None:
        world = copy.deepcopy(self.world)
        world.settle()
        plan = world.decide()
        assert (plan.apply, plan.delete, plan.events) == ((), (), ())
        assert status_as_applied(plan.status) == world.obj["status"]
        record = read_stage_record(world.candidate)
        if world.clients_reach_candidate:
            assert record is not None
            assert record.canary is not None, "clients come after the counters are recorded"
        for pod in (*world.pods, *world.candidate_pods):
            pod.scraped = Scraped.ANSWERED
        for _ in range(2):  # one stage after the other
            world.wait(seconds=3600)
            world.settle()
        assert_end(world)


def assert_end(world: World) -> None:
    """One of: the active model is promoted, it is gone and what served goes on, or a person must act."""
    active, found = world.obj["spec"]["registry"]["active"], world.status.candidate
    if found is None:
        assert world.deployed is not None
        assert active == world.deployed or world.is_("Stalled")[0] == "True"
        return
    if world.obj["spec"]["serving"].get("replicas") == 0 and found.verdict == "Running":
        assert (world.candidate_pods, world.comparison_plan, world.clients_reach_candidate) == ([], None, False)
        return  # it waits for pods that serve
    assert (found.model, found.verdict in OVER) == (active, True)
    assert (world.is_("Stalled")[0], world.is_("RegistryDiverged")[0]) == ("True", "True")
    assert not world.clients_reach_candidate
    assert world.deployed != active
    if world.is_("Stalled")[1] == "CandidateReturned":
        assert (world.candidate, world.comparison_plan) == (None, None)
    else:
        assert world.is_("Stalled")[1] == "CandidateHeld"


TestLife = Life.TestCase
# See test_level_based.py: to get the shortest example, delete `phases`.
TestLife.settings = settings(
    max_examples=60,
    stateful_step_count=12,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
