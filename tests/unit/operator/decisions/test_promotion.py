"""The gate, what was refused, and the way back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.operator_world import FOUND, FakePod, World, entry, manifest

from cetacean_operator.api.observed import ContainerFailure


def never_ready(pod: FakePod) -> None:
    """The pod starts and that is all."""


def fails_for(name: str) -> Any:
    def behave(pod: FakePod) -> None:
        pod.ready = pod.model != name

    return behave


def promoted(**candidate: Any) -> World:
    """`first` serves, then `second` is made active."""
    world = World(manifest(entry("first"), entry("second", "b", **candidate)))
    world.settle()
    world.activate("second")
    world.settle()
    return world


@pytest.mark.parametrize(
    ("metrics", "passes", "told"),
    [
        ({}, True, "TNR 0.9200 is at least 0.9000 (minTNR)"),
        ({"tnr": 0.90}, True, "(maxRegression)"),
        ({"tnr": 0.8999}, False, "TNR 0.8999 is below 0.9000 (minTNR)"),
        ({"tpr": 0.84}, False, "TPR 0.8400 is below 0.8500 (minTPR)"),
        ({"tpr": 0.93}, True, "TPR 0.9300 is no more than 0.0200 below first's 0.9500"),
        ({"tpr": 0.9299}, False, "TPR 0.9299 is more than 0.0200 below first's 0.9500 (maxRegression)"),
        ({"rocAuc": 0.959}, False, "ROC AUC 0.9590 is more than 0.0200 below first's 0.9800"),
        ({"tnr": None}, False, "TNR is missing"),
        ({"tpr": None}, False, "TPR is missing"),
        ({"rocAuc": None}, False, "ROC AUC is missing"),
        ({"evaluationSet": "other"}, False, "evaluation set other"),
        ({"evaluationSet": None}, False, "the evaluation set of the candidate is missing"),
        ({"sampleSize": 99}, False, "99 pictures"),
        (None, False, "TNR is missing"),
    ],
    ids=str,
)
def test_the_gate(metrics: dict[str, Any] | None, passes: bool, told: str) -> None:
    world = promoted(metrics=metrics)
    assert world.is_("GatePassed") == (("True", "GatePassed") if passes else ("False", "GateRefused"))
    assert told in world.condition("GatePassed").message
    assert world.deployed == ("second" if passes else "first")
    assert ("second" in world.started) == passes


def test_a_refused_candidate_leaves_everything_as_it_was() -> None:
    world = promoted(metrics={"tnr": 0.5})
    assert world.started == ["first"]
    assert world.is_("Ready") == ("False", "GateRefused")
    assert world.is_("Stalled") == ("True", "GateRefused")
    assert world.is_("Reconciling")[0] == "False"
    assert world.is_("Available")[0] == "True"
    assert world.is_("RegistryDiverged") == ("True", "GateRefused")
    assert world.status.serving is not None
    assert world.status.serving.name == "first"
    assert [item.model for item in world.status.history] == ["first"]
    assert world.reasons == ["Promoting", "Serving", "GateRefused"]


def test_mending_the_figures_promotes_the_refused_candidate() -> None:
    world = promoted(metrics={"tnr": 0.5})
    world.models(entry("first"), entry("second", "b"))
    world.settle()
    assert world.deployed == "second"
    assert world.is_("Ready")[0] == "True"


def test_lowering_the_bound_promotes_it_too() -> None:
    world = promoted(
        metrics={"tnr": 0.89},
    )
    assert world.deployed == "first"
    world.edit(gates={"minTNR": 0.85, "maxRegression": 0.05})
    world.settle()
    assert world.deployed == "second"


def test_where_nothing_serves_only_the_thresholds_count() -> None:
    world = World(manifest(entry("first", metrics={"rocAuc": None, "evaluationSet": None})))
    world.settle()
    assert world.is_("Ready")[0] == "True"
    assert "no serving model to compare with" in world.condition("GatePassed").message


def test_the_first_model_is_held_to_them_as_well() -> None:
    world = World(manifest(entry("first", metrics={"tnr": 0.5})))
    world.settle()
    assert world.children == {}
    assert world.started == []
    assert world.is_("Ready") == ("False", "GateRefused")
    assert world.is_("Stalled")[0] == "True"
    assert world.is_("Progressing") == ("False", "NothingToRollOut")


def test_a_deprecated_model_is_not_promoted() -> None:
    assert promoted(deprecated=True).is_("GatePassed") == ("False", "GateRefused")


def test_stricter_bounds_do_not_take_away_what_serves() -> None:
    world = World()
    world.settle()
    world.edit(gates={"minTNR": 0.999})
    world.settle()
    assert world.is_("Ready") == ("True", "Serving")
    assert world.is_("GatePassed") == ("True", "GatePassed")


def test_back_to_a_model_that_served_needs_no_gate() -> None:
    world = promoted()
    world.models(entry("first", metrics=None), entry("second", "b"), active="first")
    world.settle()
    assert world.deployed == "first"
    assert world.is_("Ready")[0] == "True"
    assert world.is_("GatePassed") == ("True", "ServedBefore")
    assert [(item.model, item.reason) for item in world.status.history] == [
        ("first", "ServedBefore"),
        ("second", "GatePassed"),
        ("first", "GatePassed"),
    ]


def test_the_way_back_does_not_wait_for_the_bad_one() -> None:
    world = World(manifest(entry("first"), entry("second", "b")), behave=fails_for("second"))
    world.settle()
    world.activate("second")
    world.settle()
    assert world.is_("Ready")[0] == "False"
    world.activate("first")
    plan = world.reconcile()
    assert world.deployed == "first"
    assert plan.status.rollout is not None
    assert plan.status.rollout.model == "first"
    world.settle()
    assert world.is_("Ready")[0] == "True"


def test_a_candidate_is_compared_with_what_serves_and_not_with_what_failed() -> None:
    """`second` has lower figures and never served: `third` is better than it, but worse than `first`."""
    second = entry("second", "b", metrics={"tpr": 0.94})
    third = entry("third", "c", metrics={"tpr": 0.925})
    world = World(manifest(entry("first"), second, third), behave=fails_for("second"))
    world.settle()
    world.activate("second")
    world.settle()
    world.activate("third")
    world.settle()
    assert "below first's 0.9500" in world.condition("GatePassed").message
    assert world.is_("GatePassed")[0] == "False"
    # What failed is not asked for any longer: the Deployment goes back to what serves.
    assert world.deployed == "first"
    assert world.status.history[0].reason == "ServedBefore"


def test_other_bytes_under_the_same_name_are_another_candidate() -> None:
    world = World()
    world.settle()
    world.models(entry("first", "c", metrics={"tnr": 0.5}))
    world.settle()
    assert world.is_("GatePassed")[0] == "False"
    assert world.status.serving is not None
    assert world.status.serving.digest == "a" * 64
    assert world.started == ["first"]


def test_a_model_that_the_registry_forgot_goes_on_and_is_compared_with() -> None:
    world = World()
    world.settle()
    world.models(entry("second", "b", metrics={"tpr": 0.9}), active="second")
    world.settle()
    assert world.deployed == "first"
    assert "below first's 0.9500" in world.condition("GatePassed").message
    del world.children["Deployment", "whales"]
    world.settle()
    assert world.deployed == "first", "its entry is known from the status even then"


def test_a_threshold_reaches_the_model_that_goes_on_after_a_refusal() -> None:
    world = promoted(metrics={"tnr": 0.5})
    world.edit(antiFraud={"threshold": 0.3})
    world.settle()
    assert world.deployed == "first"
    assert [pod.env["CETACEAN_GATE__THRESHOLD"] for pod in world.pods] == ["0.3"]


def test_the_digest_that_was_found_may_be_written_into_the_registry() -> None:
    """The pods are replaced, as the template names the digest now, but it is the model that served."""
    world = World(manifest(entry("first", None, metrics={"tnr": 0.95})))
    world.settle()
    assert world.status.active is not None
    assert world.status.active.digest == FOUND
    world.models(entry("first", "f", metrics=None))
    world.settle()
    assert world.is_("Ready")[0] == "True"
    assert world.is_("GatePassed") == ("True", "ServedBefore")
    assert world.is_("WeightsVerified") == ("True", "Verified")


def test_the_history_is_bounded_and_newest_first() -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    for turn in range(14):
        world.activate("second" if turn % 2 else "first")
        world.settle()
        world.wait(hours=1)
    history = world.status.history
    assert len(history) == 10
    assert [item.model for item in history[:2]] == ["second", "first"]
    assert sorted((item.at for item in history), reverse=True) == [item.at for item in history]


def test_a_lost_status_is_found_again_from_the_deployment() -> None:
    world = promoted()
    del world.obj["status"]
    world.settle()
    assert world.is_("Ready")[0] == "True"
    assert world.deployed == "second"
    assert [item.model for item in world.status.history] == ["second"]
    assert [item.entry.name for item in world.status.served] == ["second"]


def test_what_never_passed_a_gate_is_adopted_where_it_serves_already() -> None:
    """As after a restore from a backup without status and annotations: nothing is torn down."""
    world = World()
    world.settle()
    del world.obj["status"]
    assert world.deployment is not None
    del world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"]
    world.models(entry("first", metrics={"tnr": 0.1}))
    world.settle()
    assert world.is_("GatePassed") == ("Unknown", "Adopted")
    assert world.is_("Ready")[0] == "True"


def deed(world: World) -> None:
    """Apply what is decided and end before it is told."""
    for child in world.decide().apply:
        world.apply(child)


def test_an_operator_that_ends_in_the_middle_of_a_promotion_takes_it_up_again() -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    world.activate("second")
    deed(world)
    world.settle()
    assert world.deployed == "second"
    assert (world.status.history[0].model, world.status.history[0].reason) == ("second", "GatePassed")
    assert world.reasons.count("Promoting") == 2


def test_why_and_when_a_model_was_promoted_is_known_whatever_has_changed_before_it_was_told() -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    world.activate("second")
    begun = world.now
    deed(world)
    world.wait(hours=1)
    world.models(entry("first"), entry("second", "b", metrics={"tnr": 0.1}))
    world.settle()
    newest = world.status.history[0]
    assert (newest.model, newest.reason, newest.at) == ("second", "GatePassed", begun.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert world.is_("GatePassed") == ("True", "GatePassed")


def test_a_model_that_was_promoted_and_never_told_of_is_left_for_the_next_one() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), entry("third", "c")))
    world.settle()
    world.activate("second")
    deed(world)
    world.activate("third")
    world.settle()
    assert world.deployed == "third"
    assert [item.model for item in world.status.history] == ["third", "second", "first"]


@pytest.mark.parametrize("annotation", [None, "", "{", "[]", '{"promotions": []}', '{"promotions": [{}]}'])
def test_an_annotation_that_cannot_be_read_tells_nothing_and_is_set_right(annotation: str | None) -> None:
    world = promoted()
    assert world.deployment is not None
    annotations = world.deployment["metadata"]["annotations"]
    told = annotations["ecomarineai.org/promotion"]
    annotations["ecomarineai.org/promotion"] = annotation
    world.settle()
    assert [item.model for item in world.status.history] == ["second", "first"]
    assert world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"] == told


@pytest.mark.parametrize("annotations", [False, True], ids=["the template alone", "as kubectl rollout undo does it"])
def test_a_deployment_that_someone_undid_is_set_right(annotations: bool) -> None:
    world = promoted()
    assert world.deployment is not None
    first = World(manifest(entry("first"), entry("second", "b")))
    first.settle()
    assert first.deployment is not None
    world.deployment["spec"]["template"] = first.deployment["spec"]["template"]
    if annotations:
        world.deployment["metadata"]["annotations"] = first.deployment["metadata"]["annotations"]
    world.settle()
    assert world.deployed == "second"
    assert [item.model for item in world.status.history] == ["second", "first"]


def mute(pod: FakePod) -> None:
    """The pod serves, and the operator does not reach it."""
    pod.ready, pod.asked, pod.silent = True, False, "no answer within 3 s"


def test_a_candidate_is_compared_with_what_serves_where_its_pods_cannot_be_reached() -> None:
    world = World(manifest(entry("first"), entry("second", "b", metrics={"rocAuc": 0.9})), behave=mute)
    world.settle()
    world.activate("second")
    world.settle()
    assert "ROC AUC 0.9000 is more than 0.0200 below first's 0.9800" in world.condition("GatePassed").message
    assert (world.deployed, world.started) == ("first", ["first"])


def test_the_way_back_needs_no_gate_where_pods_cannot_be_reached() -> None:
    world = World(manifest(entry("first"), entry("second", "b")), behave=mute)
    world.settle()
    world.activate("second")
    world.settle()
    world.models(entry("first", metrics=None), entry("second", "b"), active="first")
    world.settle()
    assert world.deployed == "first"
    assert world.is_("GatePassed") == ("True", "ServedBefore")


def test_a_refusal_does_not_take_away_what_serves_where_its_pods_cannot_be_reached() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), entry("third", "c", metrics={"tnr": 0.5})))
    world.settle()
    world.behave = mute
    for name in ("second", "third"):
        world.activate(name)
        world.settle()
    assert world.deployed == "second"
    assert world.is_("GatePassed") == ("False", "GateRefused")


def test_what_never_got_ready_has_not_served_because_others_are_silent() -> None:
    def behave(pod: FakePod) -> None:
        if pod.model == "first":
            mute(pod)

    world = World(manifest(entry("first"), entry("second", "b")), behave=behave)
    world.settle()
    world.activate("second")
    world.settle()
    assert [item.entry.name for item in world.status.served] == ["first"]


def set_env(world: World, **values: str | None) -> None:
    """As `kubectl set env` does it; None removes a variable."""
    assert world.deployment is not None
    (container,) = world.deployment["spec"]["template"]["spec"]["containers"]
    names = {f"CETACEAN_MODEL__{name.upper()}": value for name, value in values.items()}
    container["env"] = [item for item in container["env"] if item["name"] not in names]
    container["env"] += [{"name": name, "value": value} for name, value in names.items() if value is not None]
    world.deployment["metadata"]["generation"] += 1


@pytest.mark.parametrize("annotations", [False, True], ids=["the template alone", "as kubectl rollout undo does it"])
def test_a_deployment_that_someone_undid_is_set_right_while_a_candidate_is_refused(annotations: bool) -> None:
    world = World(manifest(entry("first"), entry("second", "b"), entry("third", "c", metrics={"tnr": 0.5})))
    world.settle()
    first = copy.deepcopy(world.deployment)
    for name in ("second", "third"):
        world.activate(name)
        world.settle()
    assert world.deployment is not None
    assert first is not None
    world.deployment["spec"]["template"] = first["spec"]["template"]
    world.deployment["metadata"]["generation"] += 1
    if annotations:
        world.deployment["metadata"]["annotations"] = first["metadata"]["annotations"]
    world.settle()
    assert world.deployed == "second"
    assert world.is_("GatePassed") == ("False", "GateRefused")
    assert [item.model for item in world.status.history] == ["second", "first"]


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "forgotten by the registry"])
@pytest.mark.parametrize(
    "edit",
    [
        {"sha256": None},
        {"version": "9.9.9"},
        {"sha256": None, "weights_url": "https://example.org/other.ckpt"},
        {"name": "second", "sha256": "b" * 64, "weights_url": "https://example.org/second.ckpt"},
        {"name": ""},
    ],
    ids=["no digest", "version", "other bytes", "what was refused", "no model"],
)
def test_a_variable_that_someone_set_is_set_right_while_a_candidate_is_refused(
    edit: dict[str, str | None], listed: bool
) -> None:
    world = promoted(metrics={"tnr": 0.5})
    if not listed:
        world.models(entry("second", "b", metrics={"tnr": 0.5}))
        world.settle()
    assert world.deployment is not None
    before = copy.deepcopy(world.deployment["spec"])
    set_env(world, **edit)
    world.settle()
    assert world.deployment["spec"] == before
    assert world.is_("GatePassed") == ("False", "GateRefused")
    assert [item.model for item in world.status.history] == ["first"]


def test_a_model_that_got_its_digest_after_it_had_served_goes_on_with_it() -> None:
    """What is known from the status is the entry as it first served: without a digest, and not to be verified."""
    world = World(manifest(entry("first", None)))
    world.settle()
    world.models(entry("first", "f"))
    world.settle()
    world.models(entry("second", "b", metrics={"tnr": 0.5}), active="second")
    world.settle()
    assert world.deployment is not None
    before = copy.deepcopy(world.deployment["spec"])
    set_env(world, sha256=None)
    world.settle()
    assert world.deployment["spec"] == before
    assert [pod.env["CETACEAN_MODEL__SHA256"] for pod in world.pods] == ["f" * 64]


# --- Automatic rollback ---------------------------------------------------------------------------------------------


def drifting(*, on_alarm: str = "Rollback", first: dict[str, Any] | None = None, mean: float = 0.75) -> World:
    """`second` serves after `first`, and its scores drop."""
    world = World(
        manifest(
            entry("first", metrics=first or {"cetaceanScoreMean": 0.9}),
            entry("second", "b", metrics={"cetaceanScoreMean": 0.93}),
            drift={"onAlarm": on_alarm},
        )
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.drift(mean)
    world.settle()
    return world


def test_drift_goes_back_to_the_model_before() -> None:
    world = drifting()
    assert world.deployed == "first"
    assert world.status.rollback is not None
    assert "drifted to a mean score of 0.750" in world.status.rollback.why
    assert world.is_("Ready") == ("False", "RolledBack")
    assert world.is_("Stalled") == ("True", "RolledBack")
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    assert world.is_("Available")[0] == "True"
    assert world.status.history[0].reason == "DriftRollback"
    assert world.reasons.count("DriftRollback") == 1


@pytest.mark.parametrize(
    "change", [{"drift": {"window": 500}}, {"serving": {"replicas": 2}}, {"gates": {"minTNR": 0.8}}]
)
def test_the_next_mirroring_does_not_promote_it_again(change: dict[str, Any]) -> None:
    world = drifting()
    world.edit(**change)
    world.settle()
    world.wait(days=30)
    world.settle()
    assert world.deployed == "first"
    assert world.is_("Stalled")[0] == "True"


def test_nor_does_a_registry_that_has_grown_meanwhile() -> None:
    world = drifting()
    second, third = entry("second", "b", metrics={"cetaceanScoreMean": 0.93}), entry("third", "c")
    world.models(entry("first"), second, third, active="second")
    world.settle()
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    world.activate("third")
    world.settle()
    assert world.deployed == "third"
    assert world.is_("Ready")[0] == "True"


def test_a_model_that_the_registry_forgot_is_gone_back_to() -> None:
    second = entry("second", "b", metrics={"cetaceanScoreMean": 0.93})
    world = World(manifest(entry("first"), second, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.models(second, active="second")
    world.settle()
    world.drift(0.7)
    world.settle()
    assert world.deployed == "first"
    assert world.is_("Stalled") == ("True", "RolledBack")


def test_the_restored_model_is_not_rolled_back_in_turn() -> None:
    world = drifting()
    world.drift(0.5)
    world.settle()
    assert world.deployed == "first"
    assert world.is_("Drifting")[0] == "True"
    assert world.reasons.count("DriftRollback") == 1


def test_a_person_ends_it_by_naming_the_model_that_serves() -> None:
    world = drifting()
    world.activate("first")
    world.settle()
    assert world.status.rollback is None
    assert world.is_("Ready")[0] == "True"
    assert world.is_("Stalled")[0] == "False"
    assert world.is_("RegistryDiverged")[0] == "False"
    world.activate("second")
    world.settle()
    assert world.deployed == "second", "asked for anew, it comes back"


def test_or_by_taking_the_decision_upon_themselves() -> None:
    world = drifting()
    world.edit(drift={"onAlarm": "Alert"})
    world.settle()
    assert world.deployed == "second"
    assert world.is_("Ready")[0] == "True"


def test_or_by_other_bytes() -> None:
    world = drifting()
    world.models(entry("first"), entry("second", "c"))
    world.settle()
    assert world.deployed == "second"
    assert world.status.rollback is None


def test_an_alert_changes_nothing() -> None:
    world = drifting(on_alarm="Alert")
    assert world.deployed == "second"
    assert world.is_("Drifting") == ("True", "ScoreDropped")
    assert world.is_("Ready")[0] == "True"


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ({"cetaceanScoreMean": 0.7}, "promises no better than 0.750"),
        ({"cetaceanScoreMean": 0.75}, "promises no better than 0.750"),
        ({"cetaceanScoreMean": None}, "has no baseline"),
    ],
)
def test_no_rollback_where_it_promises_nothing(first: dict[str, Any], told: str) -> None:
    world = drifting(first=first)
    assert world.deployed == "second"
    assert told in world.condition("Drifting").message
    assert world.is_("Ready")[0] == "True"


def test_no_rollback_where_nothing_served_before() -> None:
    world = World(manifest(drift={"onAlarm": "Rollback"}))
    world.settle()
    world.drift(0.1)
    world.settle()
    assert world.deployed == "first"
    assert "no other model has served before" in world.condition("Drifting").message


def test_rejections_alone_roll_nothing_back() -> None:
    world = drifting(mean=0.92)
    world.drift(0.92, requests=100, rejections=90)
    world.settle()
    assert world.is_("Drifting") == ("True", "SystemicRejection")
    assert world.deployed == "second"


def test_the_old_pods_drift_does_not_roll_back_the_candidate() -> None:
    """While `second` is not serving yet, an alarm is about `first`."""
    world = World(
        manifest(entry("first"), entry("second", "b"), drift={"onAlarm": "Rollback"}), behave=fails_for("second")
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.drift(0.1)
    world.settle()
    assert world.is_("Drifting")[0] == "True"
    assert world.deployed == "second"
    assert world.status.rollback is None


def test_an_operator_that_ends_in_the_middle_of_a_rollback_takes_it_up_again() -> None:
    world = drifting(on_alarm="Alert", mean=0.7)
    world.edit(drift={"onAlarm": "Rollback"})
    deed(world)
    # Nothing drifts any longer; the rollback is written on the Deployment and goes on.
    world.drift(0.95)
    world.settle()
    assert world.deployed == "first"
    assert world.status.rollback is not None
    assert world.is_("GatePassed") == ("False", "RolledBack")
    assert world.reasons.count("DriftRollback") == 1


def test_a_lost_status_does_not_promote_what_was_rejected() -> None:
    world = drifting(mean=0.7)
    world.drift(0.95)
    del world.obj["status"]
    world.settle()
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged")[0] == "True"


@pytest.mark.parametrize("digit", ["a", None], ids=["verified", "without a digest"])
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "forgotten by the registry"])
def test_nor_while_no_pod_has_been_asked_yet(digit: str | None, listed: bool) -> None:
    """Who served before is not known then: only the Deployment tells."""
    first, second = entry("first", digit), entry("second", "b", metrics={"cetaceanScoreMean": 0.93})
    world = World(manifest(first, second, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.drift(0.7)
    world.settle()
    if not listed:
        world.models(second)
    del world.obj["status"]
    for pod in world.pods:
        pod.asked = False
    assert world.observed().unasked
    world.settle()
    assert (world.deployed, world.started) == ("first", ["first", "second", "first"])
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    for pod in world.pods:
        pod.asked = True
    world.settle()
    assert (world.deployed, world.started) == ("first", ["first", "second", "first"])
    assert world.status.rollback is not None


def test_nor_where_the_restored_weights_have_moved_meanwhile() -> None:
    world = drifting(mean=0.7)
    world.models(entry("first", weightsUrl="https://example.org/moved.ckpt"), entry("second", "b"))
    world.settle()
    del world.obj["status"]
    for pod in world.pods:
        pod.asked = False
    world.settle()
    assert world.deployed == "first"


def test_a_rollback_that_a_person_has_ended_is_forgotten_on_the_deployment_as_well() -> None:
    world = drifting(mean=0.7)
    world.edit(drift={"onAlarm": "Alert"})
    world.drift(0.95)
    world.settle()
    assert world.deployed == "second"
    del world.obj["status"]
    world.edit(drift={"onAlarm": "Rollback"})
    world.settle()
    assert (world.deployed, world.status.rollback) == ("second", None)


def test_a_failure_of_the_new_pods_is_no_reason_to_forget_what_failed() -> None:
    failure = ContainerFailure("fetch", "Error", "DigestMismatch: u: expected sha256:b, got sha256:c", exit_code=1)

    def behave(pod: FakePod) -> None:
        pod.ready = pod.model == "first"
        pod.failures = () if pod.ready else (failure,)

    world = World(manifest(entry("first"), entry("second", "b")), behave=behave)
    world.settle()
    world.activate("second")
    world.settle()
    assert world.deployed == "second"
    assert world.status.serving is not None
    assert world.status.serving.name == "first"
    assert world.is_("RegistryDiverged")[0] == "False"
    assert world.is_("Stalled") == ("True", "DigestMismatch")
