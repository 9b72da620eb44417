"""Whatever happens in whatever order: decisions depend on the state alone, and settle."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.operator_world import SURE, World, entry, manifest
from support.pods import FakePod, Scraped

from cetacean_operator.decisions.plan import Plan, status_as_applied

MODELS = (
    entry("good", "a", metrics=SURE),
    entry("better", "b", metrics={"tnr": 0.93, "cetaceanScoreMean": 0.93} | SURE),
    entry("regressed", "c", metrics={"tnr": 0.80}),
    entry("broken", "d", metrics={"tnr": 0.94}),
    entry("unknown", None, metrics={"tnr": 0.93, "cetaceanScoreMean": None}),
)
NAMES = [model["name"] for model in MODELS]


def behave(pod: FakePod) -> None:
    pod.ready = pod.model != "broken"


class Life(RuleBasedStateMachine):
    """A resource, people, pods and an operator that may be away."""

    @initialize(
        active=st.sampled_from(NAMES),
        replicas=st.integers(0, 3),
        on_alarm=st.sampled_from(["Alert", "Rollback"]),
    )
    def begin(self, active: str, replicas: int, on_alarm: str) -> None:
        self.world = World(
            manifest(*MODELS, active=active, serving={"replicas": replicas}, drift={"onAlarm": on_alarm}), behave=behave
        )

    @rule(name=st.sampled_from(NAMES))
    def activate(self, name: str) -> None:
        self.world.activate(name)

    @rule(threshold=st.sampled_from([0.0, 0.4, 0.52]))
    def recalibrate(self, threshold: float) -> None:
        self.world.edit(antiFraud={"threshold": threshold})

    @rule(replicas=st.integers(0, 3))
    def scale(self, replicas: int) -> None:
        self.world.edit(serving={"replicas": replicas})

    @rule(on=st.booleans())
    def autoscale(self, on: bool) -> None:
        self.world.edit(serving={"autoscaling": {"minReplicas": 1, "maxReplicas": 3} if on else None})

    @rule(on_alarm=st.sampled_from(["Alert", "Rollback"]))
    def take_charge(self, on_alarm: str) -> None:
        self.world.edit(drift={"onAlarm": on_alarm})

    @rule(data=st.data())
    def forget_models(self, data: st.DataObject) -> None:
        kept = data.draw(st.sets(st.sampled_from(NAMES), min_size=1))
        active = data.draw(st.sampled_from(sorted(kept)))
        self.world.models(*(model for model in MODELS if model["name"] in kept), active=active)

    @rule()
    def know_all_models(self) -> None:
        self.world.models(*MODELS)

    @rule(mean=st.sampled_from([0.5, 0.85, 0.93]))
    def score(self, mean: float) -> None:
        self.world.drift(mean)

    @rule(probability=st.sampled_from([0.5, 0.85, 0.9]))
    def identify(self, probability: float) -> None:
        self.world.identify(probability)

    @precondition(lambda self: self.world.comparison_plan and self.world.pods)
    @rule(surer=st.sampled_from([0, 30, 60]))
    def compare(self, surer: int) -> None:
        self.world.compare(surer=surer, less_sure=60 - surer)

    @precondition(lambda self: self.world.children)
    @rule(data=st.data())
    def delete_a_child(self, data: st.DataObject) -> None:
        del self.world.children[data.draw(st.sampled_from(sorted(self.world.children)))]

    @precondition(lambda self: self.world.deployment)
    @rule()
    def edit_the_deployment(self) -> None:
        deployment: Any = self.world.deployment
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
        deployment["metadata"]["generation"] += 1

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def lose_a_pod(self, data: st.DataObject) -> None:
        self.world.pods.remove(data.draw(st.sampled_from(self.world.pods)))

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def a_pod_is_silent(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.world.pods)).scraped = Scraped.FAILED_LATELY

    @rule()
    def spoil_the_spec(self) -> None:
        self.world.edit(antiFraud={"threshold": 7.0})
        self.world.reconcile()
        self.world.edit(antiFraud={"threshold": 0.52})

    @rule()
    def lose_the_status(self) -> None:
        self.world.obj.pop("status", None)

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.world.wait(hours=hours)

    @rule(steps=st.integers(1, 4))
    def the_operator_ends_before_it_writes_the_status(self, steps: int) -> None:
        plan: Plan = self.world.decide()
        for child in plan.apply[:steps]:
            self.world.apply(child)

    @rule(steps=st.integers(1, 3))
    def a_little_happens(self, steps: int) -> None:
        for _ in range(steps):
            self.world.reconcile()
            self.world.roll()

    @invariant()
    def it_settles_and_is_then_true(self) -> None:
        world = copy.deepcopy(self.world)
        world.settle()
        plan = world.decide()
        assert not plan.apply
        assert not plan.delete
        assert plan.events == ()
        assert status_as_applied(plan.status) == world.obj["status"]

        ready, reconciling, stalled = (world.is_(kind)[0] for kind in ("Ready", "Reconciling", "Stalled"))
        assert [ready, reconciling, stalled].count("True") == 1
        if world.condition("Stalled").reason == "InvalidSpec":
            return
        active = world.obj["spec"]["registry"]["active"]
        live = [pod for pod in world.pods if pod.ready]
        if ready == "True":
            assert {pod.model for pod in live} <= {active}
            assert world.deployed == active
            assert world.is_("RegistryDiverged")[0] == "False"
        served = {item.entry.name for item in world.status.served}
        assert world.deployed in {None, active} | served | {item.model for item in world.status.history[:1]}
        if world.is_("GatePassed")[0] == "False":
            assert stalled == "True"
            assert world.deployed != active
        assert "regressed" not in world.started, "it never passes, so no pod of it may ever start"
        assert len(world.status.history) <= 10
        comparison = world.status.comparison
        runs = comparison is not None and comparison.verdict == "Running"
        assert (world.candidate is not None) == (world.comparison_plan is not None) == runs
        if live:
            assert world.is_("Available")[0] == "True"
        times = [condition.last_transition_time for condition in world.status.conditions]
        assert all(times)


TestLife = Life.TestCase
# A failure is reported as it was found, at most twelve steps long: each step settles a copy of the world, and shrinking
# would repeat that for minutes. To get the shortest example, delete `phases`.
TestLife.settings = settings(
    max_examples=60,
    stateful_step_count=12,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
