"""A decision as a whole: what its plan says of the children, of promotions, and of a spec that cannot be read."""

from __future__ import annotations

from support.approvals import approval_object
from support.operator_world import SURE, WORSE, World, entry, manifest

from cetacean_operator.api.observed import CetaceanModel, Observed
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.plan import EventSpec, Plan


def test_a_plan_names_all_children_and_applies_those_that_differ_with_their_paths() -> None:
    world = World()
    world.settle()
    plan = world.decide()
    names = [(child["kind"], child["metadata"]["name"]) for child in plan.children]
    assert sorted(names) == sorted(world.children)
    assert (plan.apply, plan.differences) == ((), {})
    world.children["Deployment", "whales"]["spec"]["replicas"] = 7
    plan = world.decide()
    assert [(child["kind"], child["metadata"]["name"]) for child in plan.apply] == [("Deployment", "whales")]
    assert plan.differences == {"Deployment/whales": ("spec.replicas",)}


def test_while_another_owner_has_the_name_of_a_child_nothing_is_applied() -> None:
    world = World()
    plan = decide(CetaceanModel.of(world.obj), Observed(name_conflict="Deployment whales"), world.now)
    assert "Deployment" in {child["kind"] for child in plan.children}
    assert plan.apply == ()


def test_a_spec_that_cannot_be_read_changes_conditions_and_events_only() -> None:
    world = World()
    world.settle()
    world.drift(0.9)
    world.settle()
    annotations = {
        "ecomarineai.org/drift-score-mean": "0.900",
        "ecomarineai.org/drift-score-avg": "0.900",
        "ecomarineai.org/drift-alarms-total": "0",
        "ecomarineai.org/drift-samples": "100",
    }
    assert world.annotations == annotations
    world.edit(registry={"active": "nobody"})
    plan = world.decide()
    why = "registry: active: 'nobody' is none of the models: first"
    assert plan == Plan(status=plan.status, annotations=annotations, events=(EventSpec("Warning", "InvalidSpec", why),))
    stalled = plan.status.condition("Stalled")
    assert stalled is not None
    assert stalled.message.startswith(f"{why}. Next: ")
    assert plan.status.serving == world.status.serving


def test_an_approved_model_is_promoted_and_the_history_says_who_let_it_serve() -> None:
    release = {"version": "1.0.1", "metricsSnapshot": "reports/second.json"}
    world = World(manifest(entry("first"), entry("second", "b", **release)))
    world.settle()
    world.edit(approval={})
    world.activate("second")
    world.approvals.append(approval_object("alice", at=world.now))
    world.settle()
    newest = world.status.history[0]
    assert (world.deployed, newest.model) == ("second", "second")
    assert newest.release is not None
    assert [one.approver for one in newest.release.approvals] == ["alice"]


def test_a_verdict_on_the_model_before_stays_while_pods_compare_no_more() -> None:
    models = entry("first", metrics=SURE), entry("second", "b", metrics=SURE)
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.identify(WORSE)
    world.settle()
    world.compare(surer=20, less_sure=80, probability=WORSE)
    world.settle()
    assert world.comparison_plan is None
    world.wait(hours=5)
    world.settle()
    found = world.status.comparison
    assert found is not None
    assert (found.verdict, found.pairs, world.deployed) == ("NoBetter", 100, "second")


def test_drift_of_the_active_model_leads_to_a_rollback_that_stands() -> None:
    models = entry("first", metrics=SURE), entry("second", "b", metrics=SURE)
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.fail_identification()
    assert world.deployed == "first"
    assert world.status.rollback is not None
    assert world.status.history[0].reason == "DriftRollback"
    assert world.status.history[0].why == world.status.rollback.why
