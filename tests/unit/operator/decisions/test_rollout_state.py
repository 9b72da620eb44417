"""Ready is what pods report, not what was applied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import World, entry, manifest, model
from support.pods import Scraped, ready_pod

from cetacean_operator.api.observed import Identity, Pod
from cetacean_operator.api.serving import Autoscaling, Serving
from cetacean_operator.api.spec import AntiFraud
from cetacean_operator.api.status import ModelRef
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.rollout_state import RolloutState, WrongReport, current_state, rollout_state

SERVING = Serving(image="cetacean-inference:1")
REPLICAS: dict[str, Any] = {"serving": {"replicas": 3}}


def three() -> World:
    world = World(manifest(**REPLICAS))
    world.settle()
    return world


def test_a_resource_is_ready_if_all_wanted_replicas_report_the_active_digest() -> None:
    world = three()
    assert world.is_("Ready") == ("True", "Serving")
    assert world.condition("Ready").message.startswith("3 of 3 wanted replicas serve first 1.0.0 (sha256:aaaa")
    status = world.status
    assert (status.replicas, status.ready_replicas, status.active_replicas) == (3, 3, 3)
    assert status.serving is not None
    assert status.active is not None
    assert (status.serving.name, status.serving.digest) == ("first", "a" * 64)
    assert status.active.digest == "a" * 64
    assert status.selector == "ecomarineai.org/cetaceanmodel=whales"


@pytest.mark.parametrize(
    ("report", "text"),
    [
        ({"digest": "c" * 64}, f"expected sha256:{'a' * 64}, got sha256:{'c' * 64}"),
        ({"name": "other"}, "another model: expected first, got other"),
        ({"version": "9.9.9"}, "another version: expected 1.0.0, got 9.9.9"),
        ({"config_digest": "old"}, "another configuration"),
        ({"rollout_id": None}, "another rollout"),
        ({"digest": None}, "names no weights"),
    ],
)
def test_a_pod_that_reports_something_else_makes_the_resource_not_ready(report: dict[str, Any], text: str) -> None:
    world = three()
    world.pods[1].reports = report
    world.settle()
    assert world.is_("Ready") == ("False", "WrongModel")
    assert text in world.condition("Ready").message
    assert "2 of 3" in world.condition("Ready").message
    assert world.status.active_replicas == 2


def test_wrong_weights_are_not_verified() -> None:
    world = three()
    world.pods[0].reports = {"digest": "c" * 64}
    world.settle()
    assert world.is_("WeightsVerified") == ("False", "DigestMismatch")


@pytest.mark.parametrize("name", ["whales", "weights"], ids=lambda name: f"a resource called {name}")
@pytest.mark.parametrize(
    "report",
    [
        {"name": "other-weights"},
        {"version": "9.9.9"},
        {"config_digest": "old"},
        {"rollout_id": None},
        {"threshold": 0.1},
    ],
    ids=str,
)
def test_weights_are_verified_although_another_part_of_a_report_is_wrong(report: dict[str, Any], name: str) -> None:
    gate = {"model": {"sha256": "f" * 64}}
    obj = manifest(entry("first", files=FILES), antiFraud=gate, **REPLICAS)
    obj["metadata"]["name"] = name
    world = World(obj)
    world.settle()
    world.pods[0].reports = report
    world.settle()
    assert world.is_("Ready") == ("False", "WrongModel")
    assert world.is_("WeightsVerified") == ("True", "Verified")


def test_a_pod_that_is_not_ready_counts_as_missing() -> None:
    world = three()
    world.pods[2].ready = False
    world.reconcile()
    assert world.is_("Ready") == ("False", "RollingOut")
    assert world.is_("Available")[0] == "True"
    assert world.is_("Reconciling")[0] == "True"


def test_a_resource_whose_children_are_applied_is_not_ready_before_its_pods() -> None:
    world = World(behave=lambda _pod: None)
    world.settle()
    assert world.deployed == "first"
    assert world.is_("Ready") == ("False", "RollingOut")
    assert world.is_("Progressing") == ("True", "RollingOut")
    assert world.is_("Available") == ("False", "NoPodReady")
    assert world.is_("WeightsVerified") == ("Unknown", "NotLoadedYet")
    assert world.status.serving is None


def test_a_resource_is_not_ready_while_old_pods_serve_beside_new_ones() -> None:
    world = World(manifest(entry("first"), entry("second", "b"), **REPLICAS))
    world.settle()
    world.activate("second")
    seen = set()
    for _ in range(30):
        world.reconcile()
        models = {pod.model for pod in world.pods}
        if models == {"first", "second"}:
            assert world.is_("Ready")[0] == "False"
        seen |= {frozenset(models)}
        world.roll()
    world.settle()
    assert frozenset({"first", "second"}) in seen
    assert world.is_("Ready")[0] == "True"


def test_another_image_makes_the_resource_not_ready_until_its_pods_serve() -> None:
    """Neither digest nor rollout id change; only the Deployment's controller knows."""
    world = three()
    world.edit(serving={"image": "cetacean-inference:2"})
    world.reconcile()
    assert world.status.observed_generation == 2
    assert world.is_("Ready")[0] == "False"
    world.settle()
    assert world.is_("Ready")[0] == "True"
    assert {pod.template["spec"]["containers"][0]["image"] for pod in world.pods} == {"cetacean-inference:2"}


def test_a_pod_that_was_never_scraped_makes_the_resource_not_ready() -> None:
    world = World(behave=lambda pod: pod.__dict__.update(ready=True, scraped=Scraped.NOT_YET))
    world.settle()
    assert world.observed().unasked
    assert world.is_("Ready") == ("False", "PodSilent")


def test_a_silent_pod_is_named_with_its_error() -> None:
    world = three()
    world.pods[1].scraped = Scraped.ALWAYS_FAILED
    world.settle()
    assert world.is_("Ready") == ("False", "PodSilent")
    message = world.condition("Ready").message
    assert message.startswith("2 of 3 wanted replicas serve first 1.0.0; ")
    assert message.endswith(f"pod whales-{world.pods[1].number} does not report what it serves: no answer within 3 s")


def test_a_pod_that_turns_silent_is_counted_in_the_drift_figures() -> None:
    world = World(behave=lambda pod: pod.__dict__.update(ready=True, scraped=Scraped.FAILED_LATELY))
    world.settle()
    plan = world.decide()
    # It has said once what it serves: one unanswered question does not change that.
    assert plan.status.condition("Ready") is not None
    assert plan.status.drift is not None
    assert plan.status.drift.pods_silent == 1


def test_a_resource_scaled_to_zero_is_ready() -> None:
    world = World(manifest(serving={"replicas": 0}))
    world.settle()
    assert world.is_("Ready") == ("True", "ScaledToZero")
    assert world.is_("Available") == ("False", "ScaledToZero")


FILES = {"encoder_classes.npy": "d" * 64, "species_map.csv": "e" * 64}
OWN_GATE = {"weightsURL": "https://x/gate.safetensors", "configURL": "https://x/gate.json", "sha256": "f" * 64}


@pytest.mark.parametrize(
    ("files", "gate", "missing"),
    [
        (None, {"sha256": "f" * 64}, "encoder_classes.npy, species_map.csv"),
        ({"species_map.csv": "e" * 64}, {"sha256": "f" * 64}, "encoder_classes.npy"),
        (FILES, None, "gate weights"),
        (FILES, OWN_GATE, "gate config"),
        (FILES, {"sha256": "f" * 64}, None),
        (FILES, OWN_GATE | {"configSHA256": "a" * 64}, None),
    ],
)
def test_the_weights_are_verified_only_if_each_file_that_decides_has_a_digest(
    files: dict[str, str] | None, gate: dict[str, str] | None, missing: str | None
) -> None:
    world = World(manifest(entry("first", files=files), antiFraud={"model": gate} if gate else {}))
    world.settle()
    if missing is None:
        assert world.is_("WeightsVerified") == ("True", "Verified")
        return
    assert world.is_("WeightsVerified") == ("Unknown", "FilesUnverified")
    assert world.condition("WeightsVerified").message.endswith(f"as expected; no digest for {missing}")
    assert world.is_("Ready") == ("True", "Serving")


class TestWithoutADigest:
    """The registry may say null."""

    @pytest.fixture
    def world(self) -> World:
        world = World(manifest(entry("first", None), **REPLICAS))
        world.settle()
        return world

    def test_the_digest_that_pods_found_is_in_the_status(self, world: World) -> None:
        assert world.is_("Ready")[0] == "True"
        assert world.is_("WeightsVerified") == ("Unknown", "NoDigest")
        assert "f" * 64 in world.condition("WeightsVerified").message
        assert world.status.active is not None
        assert world.status.active.digest == "f" * 64
        assert world.reasons.count("WeightsUnverified") == 1

    def test_pods_that_loaded_different_weights_make_the_resource_not_ready(self, world: World) -> None:
        world.pods[0].reports = {"digest": "e" * 64}
        world.settle()
        assert world.is_("WeightsVerified") == ("False", "DigestsDiffer")
        assert world.is_("Ready") == ("False", "DigestsDiffer")


def test_the_majority_of_pods_decides_which_model_serves_whatever_their_order() -> None:
    world = World(
        manifest(entry("first"), entry("second", "b"), **REPLICAS),
        behave=lambda pod: setattr(pod, "ready", pod.number % 2 == 0 or pod.model == "first"),
    )
    world.settle()
    world.pods[0].reports = {"name": "zzz", "digest": "e" * 64}
    first = world.decide().status.serving
    world.pods.reverse()
    assert world.decide().status.serving == first
    assert first is not None
    assert first.name == "first"


def test_two_pods_that_disagree_give_the_same_answer_in_either_order() -> None:
    world = World(manifest(serving={"replicas": 2}))
    world.settle()
    world.pods[0].reports = {"name": "zzz", "digest": "e" * 64}
    answers = []
    for _ in range(2):
        world.pods.reverse()
        answers.append(world.decide().status.serving)
    assert answers[0] == answers[1]


def test_a_model_that_the_registry_does_not_know_has_not_served() -> None:
    world = three()
    for pod in world.pods:
        pod.reports = {"name": "stranger", "digest": "e" * 64}
    world.settle()
    assert [item.entry.name for item in world.status.served] == ["first"]


def test_served_models_that_neither_registry_nor_history_names_are_dropped() -> None:
    world = World()
    for name, digit in zip("abcdefghijkl", "0123456789ab", strict=True):
        world.models(entry(name, digit), active=name)
        world.settle()
    assert len(world.status.served) <= 11
    assert "first" not in {item.entry.name for item in world.status.served}


def test_the_generation_is_in_every_condition() -> None:
    world = three()
    world.edit(serving={"replicas": 2})
    world.settle()
    assert {condition.observed_generation for condition in world.status.conditions} == {2}
    assert world.status.observed_generation == 2


@pytest.mark.parametrize(
    ("spec", "status", "rolled_out"),
    [
        ({"replicas": 2}, {"updatedReplicas": 2, "replicas": 2}, True),
        ({"replicas": 2}, {"updatedReplicas": 3, "replicas": 3}, True),
        ({"replicas": 2}, {"updatedReplicas": 2, "replicas": 3}, False),
        ({"replicas": 2}, {"updatedReplicas": 1, "replicas": 1}, False),
        ({"replicas": 1}, {}, False),
        ({"replicas": 0}, {}, True),
        ({"replicas": 0}, {"replicas": 1}, False),
        ({}, {"updatedReplicas": 1, "replicas": 1}, True),
        ({}, {"replicas": 1}, False),
    ],
    ids=str,
)
def test_a_deployment_is_rolled_out_if_only_new_pods_are_left(
    spec: dict[str, int], status: dict[str, int], rolled_out: bool
) -> None:
    meta = {"generation": 2}
    deployment = {"metadata": meta, "spec": spec, "status": {**status, "observedGeneration": 2}}
    assert current_state((), SERVING, deployment).rolled_out is rolled_out
    assert not current_state((), SERVING, {**deployment, "metadata": {"generation": 3}}).rolled_out
    assert not current_state((), SERVING, None).rolled_out


def test_pods_that_terminate_do_not_count() -> None:
    pods = (ready_pod(1), ready_pod(2, terminating=True), ready_pod(3, ready=False))
    state = current_state(pods, SERVING, None)
    assert (len(state.pods), len(state.ready)) == (2, 1)


SCALED = Serving(image="cetacean-inference:1", autoscaling=Autoscaling(min_replicas=2, max_replicas=5))


@pytest.mark.parametrize(
    ("replicas", "wanted"),
    [(4, 4), (3, 3), (2, 2), (1, 2), (0, 0), (None, 2)],
    ids=["above the minimum", "one above", "the minimum", "below the minimum", "switched off by hand", "not said yet"],
)
def test_the_autoscaler_says_how_many_pods_are_wanted(replicas: int | None, wanted: int) -> None:
    deployment: dict[str, Any] = {"metadata": {}, "spec": {} if replicas is None else {"replicas": replicas}}

    assert current_state((), SCALED, deployment).wanted == wanted
    assert current_state((), SERVING, deployment).wanted == 1, "without an autoscaler the resource says it"


@pytest.mark.parametrize("deployment", [None, {"metadata": {}}], ids=["no Deployment", "no spec"])
def test_the_minimum_is_wanted_before_the_deployment_says_more(deployment: dict[str, Any] | None) -> None:
    assert current_state((), SCALED, deployment).wanted == 2


ROLLOUT = rollout_of(model(), AntiFraud(threshold=0.5))
IDENTITY = Identity(
    name="first",
    version="1.0.0",
    digest="a" * 64,
    threshold=0.5,
    config_digest=ROLLOUT.config_digest,
    rollout_id=ROLLOUT.id,
)


def pod(number: int, **report: Any) -> Pod:
    """Return a ready pod of the rollout whose report differs so."""
    return ready_pod(number, rollout_id=ROLLOUT.id, identity=replace(IDENTITY, **report))


def test_pods_are_compared_with_the_wanted_rollout() -> None:
    right, wrong, starting = pod(1), pod(2, digest="c" * 64), ready_pod(3, rollout_id=ROLLOUT.id, ready=False)
    old = ready_pod(4, rollout_id="old")
    silent = ready_pod(5, rollout_id=ROLLOUT.id, identity=None)
    current = current_state((right, wrong, starting, old, silent), SERVING, None)

    state = rollout_state(current, ROLLOUT)

    message = f"pod p2 serves another weights: expected sha256:{'a' * 64}, got sha256:{'c' * 64}"
    assert state == RolloutState(
        wanted=1,
        pods=(right, wrong, starting, old, silent),
        ready=(right, wrong, old, silent),
        serving=ModelRef(name="first", version="1.0.0", digest="a" * 64),
        rolled_out=False,
        current=(right,),
        wrong=(WrongReport(message, about_weights=True),),
        digests=frozenset({"a" * 64, "c" * 64}),
        unready=(starting,),
    )
    nothing = rollout_state(current, None)
    assert (nothing.current, nothing.wrong, nothing.digests, nothing.unready) == ((), (), frozenset(), ())


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"digest": None}, WrongReport("pod p1 is ready but names no weights", about_weights=True)),
        ({"digest": ""}, WrongReport("pod p1 is ready but names no weights", about_weights=True)),
        ({"name": "other"}, WrongReport("pod p1 serves another model: expected first, got other")),
        ({"version": "2.0.0"}, WrongReport("pod p1 serves another version: expected 1.0.0, got 2.0.0")),
        (
            {"config_digest": "old"},
            WrongReport(f"pod p1 serves another configuration: expected {ROLLOUT.config_digest}, got old"),
        ),
        ({"rollout_id": None}, WrongReport(f"pod p1 serves another rollout: expected {ROLLOUT.id}, got None")),
        ({"threshold": 0.25}, WrongReport("pod p1 has another threshold: expected 0.5, got 0.25")),
        ({"threshold": None}, WrongReport("pod p1 has another threshold: expected 0.5, got None")),
    ],
    ids=str,
)
def test_a_pod_that_reports_something_else_is_named_with_what_it_reports(
    report: dict[str, Any], expected: WrongReport
) -> None:
    state = rollout_state(current_state((pod(1, **report),), SERVING, None), ROLLOUT)
    assert state.current == ()
    assert state.wrong == (expected,)
