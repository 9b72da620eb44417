"""The gate, what was refused, and the way back."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from support.operator_world import BEGIN, SURE, WORSE, World, entry, manifest, serves
from support.operator_world import model as one_model
from support.pods import DIGEST_IN_POD, FakePod, Scraped

from cetacean_operator.api.observed import ContainerFailure
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.api.status import HistoryEntry, ModelRef, Rollback, ServedModel, Status
from cetacean_operator.decisions.identity import reference
from cetacean_operator.decisions.promotion import ChoiceInput, choose
from cetacean_operator.decisions.rollback_proof import ProofInput
from cetacean_operator.decisions.serving_history import ServingHistory, add_promotion
from cetacean_operator.decisions.stage_input import StageInput
from cetacean_registry.digests import canonical_digest
from cetacean_registry.figures import ModelMetrics


def never_ready(pod: FakePod) -> None:
    """The pod starts and that is all."""


def fails_for(name: str) -> Any:
    def behave(pod: FakePod) -> None:
        pod.ready = pod.model != name

    return behave


MOVED = "https://example.org/moved.ckpt"
DIGITS = pytest.mark.parametrize("digit", ["b", None], ids=["digest", "no digest"])
"""Models with a digest in the registry, and without one."""


def promoted(digit: str | None = "b", **candidate: Any) -> World:
    """`first` serves, then `second` is made active."""
    world = World(manifest(entry("first"), entry("second", digit, **candidate)))
    world.settle()
    world.activate("second")
    world.settle()
    return world


@pytest.mark.parametrize(
    ("metrics", "passes", "text"),
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
def test_the_gate_judges_each_metric(metrics: dict[str, Any] | None, passes: bool, text: str) -> None:
    world = promoted(metrics=metrics)
    assert world.is_("GatePassed") == (("True", "GatePassed") if passes else ("False", "GateRefused"))
    assert text in world.condition("GatePassed").message
    assert world.deployed == ("second" if passes else "first")
    assert ("second" in world.started) == passes


@DIGITS
def test_a_refused_candidate_changes_nothing_that_serves(digit: str | None) -> None:
    world = promoted(digit, metrics={"tnr": 0.5})
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


@pytest.mark.parametrize(
    "change",
    [
        {"weightsUrl": "https://new.example.org/first.ckpt"},
        {"version": "1.0.1"},
        {"signatureUrl": "https://new.example.org/first.sig"},
    ],
    ids=["address", "version", "signature"],
)
@pytest.mark.parametrize("dropped", [True, False], ids=["its entry is dropped", "its entry gets other weights"])
def test_a_refusal_keeps_the_pods_of_a_model_whose_entry_has_changed(change: dict[str, Any], *, dropped: bool) -> None:
    world = World(manifest(entry("first")))
    world.settle()
    world.models(entry("first", **change))
    world.settle()
    pods = list(world.pods)
    refused = entry("second" if dropped else "first", "b", metrics={"tpr": 0.1})
    world.models(refused, active=refused["name"])
    world.settle()
    assert world.is_("RegistryDiverged") == ("True", "GateRefused")
    assert world.pods == pods


def test_a_release_is_compared_with_the_figures_that_the_serving_model_had_last() -> None:
    """They were computed again on a larger set, and the release has replaced the entry in the same change."""
    larger = {"evaluationSet": "2026", "sampleSize": 500}
    world = World(manifest(entry("first")))
    world.settle()
    world.models(entry("first", metrics=larger))
    world.settle()
    world.models(entry("first", "b", version="1.1.0", metrics=larger))
    world.settle()
    assert world.is_("GatePassed") == ("True", "GatePassed")


@DIGITS
def test_corrected_metrics_promote_a_refused_candidate(digit: str | None) -> None:
    world = promoted(digit, metrics={"tnr": 0.5})
    world.models(entry("first"), entry("second", digit))
    world.settle()
    assert world.deployed == "second"
    assert world.is_("Ready")[0] == "True"


def test_lower_bounds_promote_a_refused_candidate() -> None:
    world = promoted(
        metrics={"tnr": 0.89},
    )
    assert world.deployed == "first"
    world.edit(gates={"minTNR": 0.85, "maxRegression": 0.05})
    world.settle()
    assert world.deployed == "second"


def test_a_first_model_is_judged_by_the_thresholds_alone() -> None:
    world = World(manifest(entry("first", metrics={"rocAuc": None, "evaluationSet": None})))
    world.settle()
    assert world.is_("Ready")[0] == "True"
    assert "no serving model to compare with" in world.condition("GatePassed").message


def test_a_first_model_below_the_thresholds_is_refused() -> None:
    world = World(manifest(entry("first", metrics={"tnr": 0.5})))
    world.settle()
    assert world.children == {}
    assert world.started == []
    assert world.is_("Ready") == ("False", "GateRefused")
    assert world.is_("Stalled")[0] == "True"
    assert world.is_("Progressing") == ("False", "NothingToRollOut")


def test_a_deprecated_model_is_not_promoted() -> None:
    assert promoted(deprecated=True).is_("GatePassed") == ("False", "GateRefused")


def test_stricter_bounds_do_not_remove_the_model_that_serves() -> None:
    world = World()
    world.settle()
    world.edit(gates={"minTNR": 0.999})
    world.settle()
    assert world.is_("Ready") == ("True", "Serving")
    assert world.is_("GatePassed") == ("True", "GatePassed")


@DIGITS
@pytest.mark.parametrize("returning", [{}, {"metrics": None}, {"deprecated": True}], ids=str)
def test_a_model_that_has_served_comes_back_without_the_gate(digit: str | None, returning: dict[str, Any]) -> None:
    world = World(manifest(entry("first", digit), entry("second", "c")))
    world.settle()
    world.activate("second")
    world.settle()
    world.models(entry("first", digit, **returning), entry("second", "c"), active="first")
    world.settle()
    assert world.deployed == "first"
    assert world.is_("Ready")[0] == "True"
    assert world.is_("GatePassed") == ("True", "ServedBefore")
    assert [(item.model, item.reason) for item in world.status.history] == [
        ("first", "ServedBefore"),
        ("second", "GatePassed"),
        ("first", "GatePassed"),
    ]


def test_a_return_does_not_wait_for_the_failing_model() -> None:
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


def test_a_candidate_is_compared_with_the_model_that_serves_and_not_with_one_that_failed() -> None:
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


def test_other_weights_under_the_same_name_are_another_candidate() -> None:
    world = World()
    world.settle()
    world.models(entry("first", "c", metrics={"tnr": 0.5}))
    world.settle()
    assert world.is_("GatePassed")[0] == "False"
    assert world.status.serving is not None
    assert world.status.serving.digest == "a" * 64
    assert world.started == ["first"]


@pytest.mark.parametrize(
    "used",
    [{"files": {"species_map.csv": "1" * 64}}, {"inputSize": 380}, {"numClassesHead": 9, "numClassesActive": 8}],
    ids=", ".join,
)
@DIGITS
def test_the_weights_that_serve_used_otherwise_are_another_candidate(digit: str | None, used: dict[str, Any]) -> None:
    """Other classes or other pictures give other answers: the gate and the history treat them as another model."""
    world = World(manifest(entry("first", digit)))
    world.settle()
    before = world.pods[0].observed().rollout_id
    world.models(entry("first", digit, metrics={"tnr": 0.5}, **used))
    world.settle()
    assert world.is_("GatePassed") == ("False", "GateRefused")
    assert world.is_("RegistryDiverged") == ("True", "GateRefused")
    assert world.rollouts == {before}, "what served goes on as it was"
    assert f"first 1.0.0 goes on with its former {', '.join(used)}" in world.condition("RegistryDiverged").message
    world.models(entry("first", digit, **used))
    world.settle()
    assert world.is_("Ready")[0] == "True"
    assert world.rollouts.isdisjoint({before})
    assert [item.reason for item in world.status.history] == ["GatePassed", "GatePassed"]
    assert len({item.definition for item in world.status.history}) == 2
    assert "below first's 0.9200" in world.status.history[0].why, "it was compared with what served before"
    world.models(entry("first", digit, deprecated=True))
    world.settle()
    assert world.is_("GatePassed") == ("True", "ServedBefore"), "the way back needs no gate"
    assert world.rollouts == {before}


def test_pods_of_the_model_before_do_not_vouch_for_the_same_weights_used_otherwise() -> None:
    """The pods of both report one name and one digest, while they replace each other."""
    world = World(manifest(), behave=lambda pod: None if "CETACEAN_MODEL__FILES" in pod.env else serves(pod))
    world.settle()
    files = {"species_map.csv": "1" * 64}
    world.models(entry("first", files=files))
    world.settle()
    assert world.status.serving is not None
    assert world.status.active is not None
    assert world.status.serving.definition != world.status.active.definition
    assert [item.entry.files for item in world.status.served] == [None]
    del world.obj["status"]
    world.settle()
    assert not any(item.entry.files for item in world.status.served)


@pytest.mark.parametrize("serving", ["first", "second"])
def test_without_a_digest_another_address_is_another_candidate(serving: str) -> None:
    """It has not served, and goes through the gate, whether its name serves now or served before."""
    world = World(manifest(entry("first", None), entry("second", "b")))
    world.settle()
    world.activate(serving)
    world.settle()
    moved = entry("first", None, weightsUrl=MOVED, metrics={"tnr": 0.1})
    world.models(moved, entry("second", "b"), active="first")
    world.settle()
    assert world.is_("GatePassed") == ("False", "GateRefused")
    assert world.deployed == serving
    assert MOVED not in {pod.env["CETACEAN_MODEL__WEIGHTS_URL"] for pod in world.pods}


def test_a_model_that_the_registry_dropped_goes_on_and_is_compared_with() -> None:
    world = World()
    world.settle()
    world.models(entry("second", "b", metrics={"tpr": 0.9}), active="second")
    world.settle()
    assert world.deployed == "first"
    assert "below first's 0.9500" in world.condition("GatePassed").message
    del world.children["Deployment", "whales"]
    world.settle()
    assert world.deployed == "first", "its entry is known from the status even then"


def test_a_new_threshold_reaches_the_model_that_goes_on_after_a_refusal() -> None:
    world = promoted(metrics={"tnr": 0.5})
    world.edit(antiFraud={"threshold": 0.3})
    world.settle()
    assert world.deployed == "first"
    assert [pod.env["CETACEAN_GATE__THRESHOLD"] for pod in world.pods] == ["0.3"]


def test_the_digest_that_pods_found_may_be_added_to_the_registry() -> None:
    """The pods are replaced, as the template names the digest now, but it is the model that served."""
    world = World(manifest(entry("first", None, metrics={"tnr": 0.95})))
    world.settle()
    assert world.status.active is not None
    assert world.status.active.digest == DIGEST_IN_POD
    world.models(entry("first", "f", metrics=None))
    world.settle()
    assert world.is_("Ready")[0] == "True"
    assert world.is_("GatePassed") == ("True", "ServedBefore")
    assert world.is_("WeightsVerified") == ("Unknown", "FilesUnverified"), "the files beside it have no digests"


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


def test_a_model_without_history_is_adopted_if_it_serves_already() -> None:
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


def forget_promotion(world: World) -> None:
    """Remove the record of the promotion, as a restore from a backup without annotations does."""
    assert world.deployment is not None
    del world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"]


def test_a_model_that_served_when_all_was_lost_is_adopted_although_another_is_refused() -> None:
    world = World(manifest(entry("first"), entry("second", "b", metrics={"tnr": 0.5})))
    world.settle()
    del world.obj["status"]
    forget_promotion(world)
    world.activate("second")
    world.settle()
    assert (world.deployed, world.is_("GatePassed")) == ("first", ("False", "GateRefused"))
    assert [(item.model, item.reason) for item in world.status.history] == [("first", "Adopted")]


@pytest.mark.parametrize(
    ("status", "metrics", "reason"),
    [(["served"], {}, "ServedBefore"), ([], {}, "GatePassed"), ([], {"tnr": 0.1}, "Adopted")],
    ids=["it has served", "it passes the gate", "it is adopted"],
)
def test_drift_says_at_once_why_there_is_no_rollback_although_the_history_is_lost(
    status: list[str], metrics: dict[str, Any], reason: str
) -> None:
    world = World(manifest(drift={"onAlarm": "Rollback"}))
    world.settle()
    world.obj["status"] = {key: world.obj["status"][key] for key in status}
    forget_promotion(world)
    world.models(entry("first", metrics=SURE | metrics))
    world.identify(WORSE)
    plan = world.decide()
    assert plan.status.history[0].reason == reason
    drifting = plan.status.condition("Drifting")
    assert drifting is not None
    assert "no rollback: no other model has served before" in drifting.message


def test_a_model_that_came_by_other_means_is_compared_with_the_last_one_that_served() -> None:
    """The last promotion was of a model that nothing knows any more, and it never served."""
    ghost, first, second = (one_model(name, digit) for name, digit in (("ghost", "c"), ("first", "a"), ("second", "b")))
    at = "2026-01-01T00:00:00Z"
    history: tuple[HistoryEntry, ...] = ()
    for promoted_model in (first, second, ghost):
        history = add_promotion(history, promoted_model, reason="GatePassed", why="", at=at)
    served = tuple(ServedModel(entry=one, digest=str(one.sha256), first_served_at=at) for one in (first, second))
    spec = parse_spec(manifest(entry("second", "b"), entry("first"))["spec"])
    known = ServingHistory(Status(history=history), served, spec.registry.models)
    proof, staged = ProofInput("whales", None, (), None), StageInput("whales", BEGIN)
    choice = choose(ChoiceInput(spec, known, second, proof, staged))
    assert "second passes against first" in choice.gate.message
    assert choice.target == second
    assert choice.promotion is not None
    assert choice.promotion.reason == "GatePassed"


def apply_without_status(world: World) -> None:
    """Apply what is decided and end before the status is written."""
    for child in world.decide().apply:
        world.apply(child)


def test_the_record_of_a_promotion_names_the_one_before_by_its_digest() -> None:
    """An operator of another version must recognise it: otherwise it takes the promotion for one of another history."""
    world = promoted()
    assert world.deployment is not None
    record = json.loads(world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"])
    assert [one["model"] for one in record["promotions"]] == ["second"]
    assert record["follows"] == canonical_digest(world.status.history[1].wire())[:16]


def test_a_promotion_is_completed_by_the_next_operator() -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    world.activate("second")
    apply_without_status(world)
    world.settle()
    assert world.deployed == "second"
    assert (world.status.history[0].model, world.status.history[0].reason) == ("second", "GatePassed")
    assert world.reasons.count("Promoting") == 2


def test_reason_and_time_of_a_promotion_are_kept_until_the_status_is_written() -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    world.activate("second")
    begun = world.now
    apply_without_status(world)
    world.wait(hours=1)
    world.models(entry("first"), entry("second", "b", metrics={"tnr": 0.1}))
    world.settle()
    newest = world.status.history[0]
    assert (newest.model, newest.reason, newest.at) == ("second", "GatePassed", begun.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert world.is_("GatePassed") == ("True", "GatePassed")


def test_a_promotion_that_no_status_has_precedes_the_next_one_in_the_history() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), entry("third", "c")))
    world.settle()
    world.activate("second")
    apply_without_status(world)
    world.activate("third")
    world.settle()
    assert world.deployed == "third"
    assert [item.model for item in world.status.history] == ["third", "second", "first"]


FIGURES = """{"promotions": [{"model": "second", "version": "1.0.0", "digest": "%s", "weightsUrl": "",
"at": "2026-01-01T00:00:00Z", "reason": "GatePassed", "why": "", "release": {"type": "Patch", "change": "Patch",
"figures": {"tpr": @}}}]}""" % ("b" * 64)


@pytest.mark.parametrize("number", ['"NaN"', "NaN", '"inf"', "-Infinity", "1e999"])
def test_a_promotion_record_with_a_number_that_json_does_not_have_cannot_be_read(number: str) -> None:
    world = promoted()
    assert world.deployment is not None
    world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"] = FIGURES.replace("@", number)
    world.obj.pop("status")
    world.settle()
    assert [(item.model, item.release) for item in world.status.history] == [("second", None)]
    assert world.is_("Ready") == ("True", "Serving")


@pytest.mark.parametrize("annotation", [None, "", "{", "[]", '{"promotions": []}', '{"promotions": [{}]}'])
def test_a_promotion_record_that_cannot_be_read_is_ignored_and_repaired(annotation: str | None) -> None:
    world = promoted()
    assert world.deployment is not None
    annotations = world.deployment["metadata"]["annotations"]
    text = annotations["ecomarineai.org/promotion"]
    annotations["ecomarineai.org/promotion"] = annotation
    world.settle()
    assert [item.model for item in world.status.history] == ["second", "first"]
    assert world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"] == text


@pytest.mark.parametrize("annotations", [False, True], ids=["the template alone", "as kubectl rollout undo does it"])
def test_a_deployment_that_someone_undid_is_repaired(annotations: bool) -> None:
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


def unreachable(pod: FakePod) -> None:
    """The pod serves, and the operator does not reach it."""
    pod.ready, pod.scraped = True, Scraped.ALWAYS_FAILED


def test_a_candidate_is_compared_with_a_model_whose_pods_cannot_be_reached() -> None:
    world = World(manifest(entry("first"), entry("second", "b", metrics={"rocAuc": 0.9})), behave=unreachable)
    world.settle()
    world.activate("second")
    world.settle()
    assert "ROC AUC 0.9000 is more than 0.0200 below first's 0.9800" in world.condition("GatePassed").message
    assert (world.deployed, world.started) == ("first", ["first"])


def test_a_model_whose_pods_cannot_be_reached_comes_back_without_the_gate() -> None:
    world = World(manifest(entry("first"), entry("second", "b")), behave=unreachable)
    world.settle()
    world.activate("second")
    world.settle()
    world.models(entry("first", metrics=None), entry("second", "b"), active="first")
    world.settle()
    assert world.deployed == "first"
    assert world.is_("GatePassed") == ("True", "ServedBefore")


def test_a_refusal_does_not_remove_a_model_whose_pods_cannot_be_reached() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), entry("third", "c", metrics={"tnr": 0.5})))
    world.settle()
    world.behave = unreachable
    for name in ("second", "third"):
        world.activate(name)
        world.settle()
    assert world.deployed == "second"
    assert world.is_("GatePassed") == ("False", "GateRefused")


def test_a_model_that_never_got_ready_has_not_served_while_other_pods_are_silent() -> None:
    def behave(pod: FakePod) -> None:
        if pod.model == "first":
            unreachable(pod)

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
def test_a_deployment_that_someone_undid_is_repaired_while_a_candidate_is_refused(annotations: bool) -> None:
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
def test_a_variable_that_someone_set_is_repaired_while_a_candidate_is_refused(
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


def test_a_model_that_got_its_digest_after_it_had_served_keeps_it() -> None:
    """The status has the entry as it first served: without a digest, so that its weights cannot be verified."""
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


def two_served(*, on_alarm: str = "Rollback", digit: str | None = "b") -> World:
    """`second` serves after `first`."""
    first, second = entry("first", metrics=SURE), entry("second", digit, metrics=SURE)
    world = World(manifest(first, second, drift={"onAlarm": on_alarm}))
    world.settle()
    world.activate("second")
    world.settle()
    return world


def drifting(
    *,
    on_alarm: str = "Rollback",
    digit: str | None = "b",
) -> World:
    """`second` serves after `first`, and its identification is worse on the pictures that come."""
    world = two_served(on_alarm=on_alarm, digit=digit)
    world.fail_identification()
    return world


@DIGITS
def test_drift_goes_back_to_the_model_before(digit: str | None) -> None:
    world = drifting(digit=digit)
    assert world.deployed == "first"
    assert world.status.rollback is not None
    assert (
        "drifted (TopProbability); first 1.0.0 served before and does better on the same pictures"
        in world.status.rollback.why
    )
    assert world.is_("Ready") == ("False", "RolledBack")
    assert world.is_("Stalled") == ("True", "RolledBack")
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    assert world.is_("Available")[0] == "True"
    assert world.status.history[0].reason == "DriftRollback"
    assert world.reasons.count("DriftRollback") == 1


def test_a_rollback_that_only_the_status_lost_stands() -> None:
    world = drifting()
    assert world.deployed == "first"
    del world.obj["status"]["rollback"]
    world.settle()
    assert (world.deployed, world.is_("RegistryDiverged")) == ("first", ("True", "RolledBack"))
    assert world.status.rollback is not None


def test_drift_goes_back_to_the_address_that_the_registry_has_now() -> None:
    second = entry("second", "b", metrics=SURE)
    world = World(manifest(entry("first", metrics=SURE), second, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.models(entry("first", weightsUrl=MOVED, metrics=SURE), second, active="second")
    world.settle()
    world.fail_identification()
    assert world.deployed == "first"
    assert [pod.env["CETACEAN_MODEL__WEIGHTS_URL"] for pod in world.pods] == [MOVED]


def test_drift_goes_back_to_the_newest_of_several_models_before() -> None:
    models = [entry(name, digit, metrics=SURE) for name, digit in (("first", "a"), ("second", "b"), ("third", "c"))]
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}))
    for model in models:
        world.activate(model["name"])
        world.settle()
    world.fail_identification()
    assert world.deployed == "second"
    assert world.status.rollback is not None
    assert (world.status.rollback.rejected.name, world.status.rollback.restored.name) == ("third", "second")


def test_the_rejected_model_is_not_promoted_again_by_its_digest_in_the_registry() -> None:
    """It had none; then the digest is added that its pods found."""
    world = drifting(digit=None)
    world.models(entry("first", metrics=SURE), entry("second", "f", metrics=SURE))
    world.settle()
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")


@DIGITS
@pytest.mark.parametrize(
    "change", [{"drift": {"window": 500}}, {"serving": {"replicas": 2}}, {"gates": {"minTNR": 0.8}}], ids=str
)
def test_the_rejected_model_is_not_promoted_again_by_another_change(change: dict[str, Any], digit: str | None) -> None:
    world = drifting(digit=digit)
    world.edit(**change)
    world.settle()
    world.wait(days=30)
    world.settle()
    assert world.deployed == "first"
    assert world.is_("Stalled")[0] == "True"


def test_the_pods_of_a_restored_model_stay_if_its_entry_and_so_its_signed_address_leaves_the_registry() -> None:
    first = entry("first", metrics=SURE, weightsUrl="https://example.org/first.ckpt?X-Signature=s3cret")
    second = entry("second", "b", metrics=SURE)
    world = World(manifest(first, second, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.fail_identification()
    assert world.deployed == "first"
    pods = list(world.pods)
    world.models(second, active="second")
    world.settle()
    assert (world.is_("RegistryDiverged"), world.pods) == (("True", "RolledBack"), pods)


def test_the_rejected_model_is_not_promoted_again_by_a_longer_registry() -> None:
    world = drifting()
    second, third = entry("second", "b", metrics=SURE), entry("third", "c")
    world.models(entry("first", metrics=SURE), second, third, active="second")
    world.settle()
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    world.activate("third")
    world.settle()
    assert world.deployed == "third"
    assert world.is_("Ready")[0] == "True"


def test_drift_goes_back_to_a_model_that_the_registry_dropped() -> None:
    second = entry("second", "b", metrics=SURE)
    world = World(manifest(entry("first", metrics=SURE), second, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.models(second, active="second")
    world.settle()
    world.fail_identification()
    assert world.deployed == "first"
    assert world.is_("Stalled") == ("True", "RolledBack")


def test_the_restored_model_is_not_rolled_back_in_turn() -> None:
    world = drifting()
    world.fail_identification()
    assert world.deployed == "first"
    assert world.is_("Drifting")[0] == "True"
    assert world.candidate is None
    assert world.reasons.count("DriftRollback") == 1


def test_naming_the_restored_model_ends_a_rollback() -> None:
    world = drifting()
    world.activate("first")
    world.settle()
    assert world.status.rollback is None
    assert world.is_("Ready")[0] == "True"
    assert world.is_("Stalled")[0] == "False"
    assert world.is_("RegistryDiverged")[0] == "False"
    world.activate("second")
    world.settle()
    assert world.deployed == "second", "activated again, it comes back"


def test_onalarm_alert_ends_a_rollback() -> None:
    world = drifting()
    world.edit(drift={"onAlarm": "Alert"})
    world.settle()
    assert world.deployed == "second"
    assert world.is_("Ready")[0] == "True"


@pytest.mark.parametrize(
    ("digit", "other"),
    [("b", {"digit": "c"}), (None, {"digit": None, "weightsUrl": MOVED}), (None, {"digit": "c"})],
    ids=["another digest", "another address without a digest", "a digest that pods did not find"],
)
def test_other_weights_end_a_rollback(digit: str | None, other: dict[str, Any]) -> None:
    world = drifting(digit=digit)
    world.models(entry("first", metrics=SURE), entry("second", **other))
    world.settle()
    assert world.deployed == "second"
    assert world.status.rollback is None


def test_onalarm_alert_keeps_the_drifting_model() -> None:
    world = drifting(on_alarm="Alert")
    assert world.deployed == "second"
    assert world.is_("Drifting") == ("True", "TopProbabilityDropped")
    assert world.candidate is None
    assert world.is_("Ready")[0] == "True"


def test_no_rollback_if_no_other_model_has_served() -> None:
    world = World(manifest(entry("first", metrics=SURE), drift={"onAlarm": "Rollback"}))
    world.settle()
    world.fail_identification()
    assert world.deployed == "first"
    assert "no other model has served before" in world.condition("Drifting").message


def test_rejections_alone_cause_no_rollback() -> None:
    world = two_served()
    world.drift(0.92, requests=100, rejections=90)
    world.settle()
    assert world.is_("Drifting") == ("True", "SystemicRejection")
    assert world.deployed == "second"


def test_a_drop_with_systemic_rejections_causes_no_rollback() -> None:
    """Whoever sends many pictures without a whale lowers the scores too, and must not choose the model."""
    world = two_served()
    world.drift(0.1, requests=100, rejections=90)
    world.settle()
    assert world.is_("Drifting") == ("True", "SystemicRejection")
    assert world.deployed == "second"
    assert world.status.rollback is None


def test_no_model_is_compared_while_most_pictures_are_rejected() -> None:
    """The pictures or the threshold are at fault: a rollback would hide it."""
    world = two_served()
    world.drift(0.92, requests=100, rejections=90)
    world.fail_identification()
    assert world.is_("Drifting") == ("True", "SystemicRejection")
    assert "no rollback: while most pictures are rejected" in world.condition("Drifting").message
    assert world.candidate is None
    assert world.deployed == "second"


def test_drift_of_the_old_pods_does_not_roll_back_the_candidate() -> None:
    """While `second` is not serving yet, an alarm is about `first`."""
    world = World(
        manifest(entry("first", metrics=SURE), entry("second", "b", metrics=SURE), drift={"onAlarm": "Rollback"}),
        behave=fails_for("second"),
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.fail_identification()
    assert world.is_("Drifting")[0] == "True"
    assert world.candidate is None
    assert world.deployed == "second"
    assert world.status.rollback is None


def test_a_rollback_is_completed_by_the_next_operator() -> None:
    world = drifting(on_alarm="Alert")
    world.edit(drift={"onAlarm": "Rollback"})
    world.settle()
    world.compare(surer=60)
    apply_without_status(world)
    # Nothing drifts any longer; the rollback is written on the Deployment and goes on.
    world.identify(0.95)
    world.settle()
    assert world.deployed == "first"
    assert world.status.rollback is not None
    assert world.is_("GatePassed") == ("False", "RolledBack")
    assert world.reasons.count("DriftRollback") == 1


def test_the_rejected_model_is_not_promoted_again_if_the_status_is_lost() -> None:
    world = drifting()
    world.identify(0.95)
    del world.obj["status"]
    world.settle()
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged")[0] == "True"


@pytest.mark.parametrize("digit", ["a", None], ids=["verified", "without a digest"])
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "forgotten by the registry"])
def test_the_rejected_model_is_not_promoted_again_before_any_pod_is_scraped(digit: str | None, listed: bool) -> None:
    """Who served before is not known then: only the Deployment has a record."""
    first, second = entry("first", digit, metrics=SURE), entry("second", "b", metrics=SURE)
    world = World(manifest(first, second, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.fail_identification()
    if not listed:
        world.models(second)
    del world.obj["status"]
    for pod in world.pods:
        pod.scraped = Scraped.NOT_YET
    assert world.observed().unasked
    world.settle()
    assert (world.deployed, world.started) == ("first", ["first", "second", "first"])
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    for pod in world.pods:
        pod.scraped = Scraped.ANSWERED
    world.settle()
    assert (world.deployed, world.started) == ("first", ["first", "second", "first"])
    assert world.status.rollback is not None


def test_the_rejected_model_is_not_promoted_again_if_the_restored_weights_have_moved() -> None:
    world = drifting()
    world.models(entry("first", weightsUrl="https://example.org/moved.ckpt"), entry("second", "b"))
    world.settle()
    del world.obj["status"]
    for pod in world.pods:
        pod.scraped = Scraped.NOT_YET
    world.settle()
    assert world.deployed == "first"


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [("first", "first", "RolledBack"), ("ghost", "second", "Adopted")],
    ids=["known by the digest that pods found", "nothing knows it any more"],
)
def test_a_rollback_stands_only_while_the_restored_model_is_known(name: str, target: str, reason: str) -> None:
    """A person has written the rejected model into the Deployment, and the history is lost."""
    first, second = one_model("first", None), one_model("second", "b", metrics={"tnr": 0.1})
    at = "2026-01-01T00:00:00Z"
    rollback = Rollback(
        rejected=ModelRef(name="second", version="1.0.0", digest="b" * 64),
        rejected_url=second.weights_url,
        restored=ModelRef(name=name, version="1.0.0", digest=DIGEST_IN_POD),
        at=at,
        why="drifted",
    )
    served = (ServedModel(entry=first, digest=DIGEST_IN_POD, first_served_at=at),)
    obj = manifest(entry("second", "b", metrics={"tnr": 0.1}), entry("first", None), drift={"onAlarm": "Rollback"})
    spec = parse_spec(obj["spec"])
    known = ServingHistory(Status(rollback=rollback), served, spec.registry.models)
    proof, staged = ProofInput("whales", None, (), None), StageInput("whales", BEGIN)
    choice = choose(ChoiceInput(spec, known, second, proof, staged))
    assert choice.target is not None
    assert (choice.target.name, choice.gate.reason) == (target, reason)
    assert choice.rollback == (rollback if reason == "RolledBack" else None)


@pytest.mark.parametrize(
    ("first", "target"),
    [
        (entry("first", numClassesHead=100), "first"),
        (entry("first"), "second"),
        (entry("first", "c", numClassesHead=100), "second"),
        (entry("first", None, numClassesHead=100), "second"),
    ],
    ids=["the same", "another definition", "other weights", "no digest"],
)
def test_after_the_history_is_lost_the_restored_model_is_known_by_its_name_its_digest_and_its_definition(
    first: dict[str, Any], target: str
) -> None:
    """A person has written the rejected model into the Deployment; an entry of another name has the same weights."""
    at = "2026-01-01T00:00:00Z"
    rejected, restored = one_model("second", "b"), one_model("first", numClassesHead=100)
    rollback = Rollback(
        rejected=reference(rejected),
        rejected_url=rejected.weights_url,
        restored=reference(restored),
        at=at,
        why="drifted",
    )
    obj = manifest(entry("second", "b"), entry("copy", numClassesHead=100), first, drift={"onAlarm": "Rollback"})
    spec = parse_spec(obj["spec"])
    history = ServingHistory(Status(rollback=rollback), (), spec.registry.models)
    proof, staged = ProofInput("whales", None, (), None), StageInput("whales", BEGIN)
    choice = choose(ChoiceInput(spec, history, rejected, proof, staged))
    assert choice.target is not None
    assert choice.target.name == target
    assert choice.rollback == (rollback if target == "first" else None)


def test_a_rollback_that_a_person_has_ended_is_removed_from_the_deployment() -> None:
    world = drifting()
    world.edit(drift={"onAlarm": "Alert"})
    world.identify(0.95)
    world.settle()
    assert world.deployed == "second"
    del world.obj["status"]
    world.edit(drift={"onAlarm": "Rollback"})
    world.settle()
    assert (world.deployed, world.status.rollback) == ("second", None)


def test_a_rollback_that_ended_with_the_restored_model_is_removed_from_the_deployment() -> None:
    world = drifting()
    world.activate("first")
    world.settle()
    assert world.deployment is not None
    record = json.loads(world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"])
    assert (record["promotions"][0]["model"], record.get("rollback")) == ("first", None)


def test_a_candidate_whose_pods_fail_stays_in_the_deployment() -> None:
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


def test_the_status_keeps_lists_of_figures_only_for_models_that_a_candidate_may_be_compared_with() -> None:
    lists = {
        "bySpecies": [{"species": "beluga", "samples": 20, "speciesAccuracy": 0.9}],
        "reference": {"cetaceanScore": [1] * 20, "topProbability": [1] * 20},
    }
    names = [f"m{number}" for number in range(12)]
    world = World(manifest(*(entry(name, f"{number:x}", metrics=lists) for number, name in enumerate(names))))
    for name in names:
        world.activate(name)
        world.settle()
    kept = {item.entry.name: item.entry.metrics or ModelMetrics() for item in world.status.served}
    assert list(kept) == names
    assert [name for name in names if kept[name].by_species] == names[-10:], "the history has ten promotions"
    assert not any(metrics.reference for metrics in kept.values())


IDENTIFICATION = {
    "samples": 100,
    "top1": 0.9,
    "top5": 1.0,
    "speciesSamples": 100,
    "speciesAccuracy": 0.95,
    "topProbabilityMean": 0.9,
}
SPECIES = {"beluga": 0.9, "orca": 0.9}


def of_identification(species: dict[str, float], **changes: float) -> dict[str, Any]:
    """Figures of the identification beside good ones of the anti-fraud gate."""
    return {
        "identification": IDENTIFICATION | changes,
        "bySpecies": [{"species": name, "samples": 40, "speciesAccuracy": share} for name, share in species.items()],
    }


def identified(candidate: dict[str, Any], **gates: Any) -> World:
    """`first` serves, then `second` with other figures of the identification is made active."""
    good = entry("first", metrics=of_identification(SPECIES))
    world = World(manifest(good, entry("second", "b", metrics=candidate), gates=gates))
    world.settle()
    world.activate("second")
    world.settle()
    return world


def test_a_candidate_that_names_the_wrong_whale_with_confidence_is_refused_by_its_top1() -> None:
    wrong = of_identification(SPECIES, top1=0.0, top5=0.1, speciesAccuracy=0.0)
    world = identified(wrong, minTop1=0.5)
    assert world.is_("GatePassed") == ("False", "GateRefused")
    assert "top-1 0.0000 is below 0.5000 (minTop1), confidently wrong" in world.condition("GatePassed").message
    assert world.deployed == "first"
    assert "second" not in {pod.model for pod in world.pods}


def test_a_candidate_that_lost_one_species_is_refused_only_if_species_are_asked_for() -> None:
    lost = of_identification(SPECIES | {"orca": 0.0}, speciesAccuracy=0.94)
    assert identified(lost).deployed == "second"
    world = identified(lost, bySpecies={})
    assert world.deployed == "first"
    assert "species accuracy of orca 0.0000 is more than 0.1000 below" in world.condition("GatePassed").message


def test_a_model_without_figures_by_species_comes_back_without_the_gate() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), gates={}))
    world.settle()
    world.activate("second")
    world.settle()
    world.obj["spec"]["gates"] = {"minTop1": 0.5, "bySpecies": {}}
    world.activate("first")
    world.settle()
    assert (world.deployed, world.is_("GatePassed")) == ("first", ("True", "ServedBefore"))


def test_another_reason_for_a_refusal_is_another_event() -> None:
    world = promoted(metrics={"tnr": 0.5})
    world.models(entry("first"), entry("second", "b", metrics={"tnr": 0.4}))
    world.settle()
    assert world.reasons.count("GateRefused") == 2
