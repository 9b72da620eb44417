"""All that users read and all that is applied, word for word: status, messages and Events of stories, and the children.

The other tests say what must hold. These show each change of a message or a manifest to its reviewer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.operator_world import BEGIN, FEWEST_PAIRS, SURE, WORSE, World, entry, manifest
from support.pods import FakePod, Scraped
from support.snapshots import check

from cetacean_operator.api.observed import CetaceanModel, ContainerFailure, Observed, ServiceReport
from cetacean_operator.api.status import Status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.plan import EventSpec, Plan, status_as_applied

SNAPSHOTS = Path(__file__).with_name("snapshots")
BASELINE = {"cetaceanScoreMean": 0.93}
HISTOGRAM = ((0.5, 40.0), (1.0, 60.0), (2.5, 100.0), (float("inf"), 100.0))


# --- Stories ----------------------------------------------------------------------------------------------------------


def two(behave: Callable[[FakePod], None] | None = None, *, digit: str | None = "b", **changes: Any) -> World:
    """`first` serves, then `second` is made active; `metrics` are those of `second`, other arguments of the spec."""
    metrics = changes.pop("metrics", {})
    world = World(manifest(entry("first"), entry("second", digit, metrics=metrics), **changes))
    world.settle()
    if behave:
        world.behave = behave
    world.activate("second")
    world.settle()
    return world


def one(**spec: Any) -> World:
    """`first` serves."""
    world = World(manifest(**spec))
    world.settle()
    return world


def a_model_serves() -> World:
    return one()


SERVES = a_model_serves().decide().status


def a_rollout_begins() -> World:
    world = World(manifest(serving={"autoscaling": {"minReplicas": 2}}))
    world.reconcile()
    return world


def a_model_is_promoted() -> World:
    return two()


def a_model_is_refused() -> World:
    return two(metrics={"tnr": 0.5})


def a_deprecated_model_is_refused() -> World:
    world = World(manifest(entry("first"), entry("second", "b", deprecated=True)))
    world.settle()
    world.activate("second")
    world.settle()
    return world


def the_first_model_is_refused() -> World:
    return one(registry={"active": "first", "models": [entry("first", metrics={"tnr": 0.5})], "schemaVersion": "1.0"})


def a_model_comes_back() -> World:
    world = two()
    world.activate("first")
    world.settle()
    return world


def a_failed_candidate_is_given_up() -> World:
    def behave(pod: FakePod) -> None:
        pod.ready = pod.model != "second"

    world = World(
        manifest(entry("first"), entry("second", "b"), entry("third", "c", metrics={"tnr": 0.5})), behave=behave
    )
    for name in ("first", "second", "third"):
        world.activate(name)
        world.settle()
    return world


def a_model_is_adopted() -> World:
    world = one()
    del world.obj["status"]
    assert world.deployment is not None
    del world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"]
    world.models(entry("first", metrics={"tnr": 0.1}))
    world.settle()
    return world


def a_lost_status_is_written_again_from_the_served_model() -> World:
    """Only the history is lost: `first` has served, and no promotion of it is known."""
    world = World(manifest(entry("first", metrics=SURE), drift={"onAlarm": "Rollback"}))
    world.settle()
    world.obj["status"]["history"] = []
    assert world.deployment is not None
    del world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"]
    world.fail_identification()
    return world


def two_sure(first: str | None = "a", second: str | None = "b") -> World:
    """`second` serves after `first`; both have the figures by which models are compared."""
    models = entry("first", first, metrics=SURE), entry("second", second, metrics=SURE)
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}))
    for name in ("first", "second"):
        world.activate(name)
        world.settle()
    return world


def lost(**changes: Any) -> World:
    """Status and record of the promotion are lost while `first` serves and drifts."""
    world = one(drift={"onAlarm": "Rollback"})
    del world.obj["status"]
    assert world.deployment is not None
    del world.deployment["metadata"]["annotations"]["ecomarineai.org/promotion"]
    world.models(entry("first", metrics=SURE | changes.pop("metrics", {}), **changes))
    world.fail_identification()
    return world


def a_drifting_model_is_judged_again_after_all_was_lost() -> World:
    return lost()


def a_drifting_model_is_adopted_after_all_was_lost() -> World:
    return lost(metrics={"tnr": 0.1})


def a_model_drifts() -> World:
    world = two(metrics=BASELINE)
    world.drift(0.75)
    world.settle()
    return world


def drift_ends() -> World:
    world = a_model_drifts()
    world.drift(0.95)
    world.settle()
    return world


def drift_rolls_back() -> World:
    world = two_sure()
    world.fail_identification()
    return world


def drift_rolls_back_to_a_model_without_a_digest() -> World:
    world = two_sure(None, "b")
    world.fail_identification()
    return world


def drift_rolls_back_a_model_without_a_digest() -> World:
    world = two_sure("a", None)
    world.fail_identification()
    return world


def drift_finds_no_model_before() -> World:
    world = World(manifest(entry("first", metrics=SURE), drift={"onAlarm": "Rollback"}))
    world.settle()
    world.fail_identification()
    return world


def drift_compares_the_model_before() -> World:
    world = two_sure()
    world.identify(WORSE)
    world.settle()
    return world


def drift_finds_no_better_model() -> World:
    world = two_sure()
    world.identify(WORSE)
    world.settle()
    world.compare(surer=0, less_sure=FEWEST_PAIRS)
    world.settle()
    return world


def drift_finds_no_baseline() -> World:
    world = World(manifest(entry("first"), entry("second", "b", metrics=SURE), drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    world.fail_identification()
    return world


def drift_of_the_score_alone_compares_nothing() -> World:
    world = two_sure()
    world.drift(0.1)
    world.settle()
    return world


def pictures_are_rejected() -> World:
    world = one()
    world.drift(0.92, requests=100, rejections=90)
    world.settle()
    return world


def too_few_samples() -> World:
    world = one()
    world.drift(0.1, samples=10)
    world.settle()
    return world


def weights_do_not_match() -> World:
    failure = ContainerFailure("fetch", "Error", "DigestMismatch: u: expected sha256:b, got sha256:c", exit_code=1)

    def behave(pod: FakePod) -> None:
        pod.failures = (failure,)

    return two(behave)


def a_pod_serves_other_weights() -> World:
    return reporting(digest="c" * 64)


def a_pod_serves_another_model() -> World:
    return reporting(name="other")


def a_pod_serves_another_version() -> World:
    return reporting(version="9.9.9")


def a_pod_serves_another_configuration() -> World:
    return reporting(config_digest="other")


def a_pod_serves_another_rollout() -> World:
    return reporting(rollout_id="other")


def a_pod_has_another_threshold() -> World:
    return reporting(threshold=0.3)


def a_pod_names_no_weights() -> World:
    return reporting(digest=None)


def reporting(**fields: Any) -> World:
    """One of two pods reports something else than its template says."""
    world = one(serving={"replicas": 2})
    world.pods[1].reports = fields
    world.settle()
    return world


def pods_load_different_weights() -> World:
    world = World(manifest(entry("first", None), serving={"replicas": 2}))
    world.settle()
    world.pods[1].reports = {"digest": "e" * 64}
    world.settle()
    return world


def a_model_has_no_digest() -> World:
    return two(digit=None)


def a_pod_is_silent() -> World:
    world = one(serving={"replicas": 2})
    world.pods[1].scraped = Scraped.ALWAYS_FAILED
    world.settle()
    return world


def all_pods_are_silent() -> World:
    world = one()
    world.drift(0.9)
    world.settle()
    world.pods[0].scraped = Scraped.FAILED_LATELY
    world.settle()
    return world


def a_pod_was_not_scraped_yet() -> World:
    world = World()
    world.settle()
    world.edit(serving={"image": "other"})

    def behave(pod: FakePod) -> None:
        pod.ready, pod.scraped = True, Scraped.NOT_YET

    world.behave = behave
    world.settle()
    return world


def no_replica_is_wanted() -> World:
    return one(serving={"replicas": 0})


def a_probe_fails() -> World:
    def behave(pod: FakePod) -> None:
        pod.started_at = timestamp(BEGIN)

    world = two(behave)
    world.wait(seconds=119)
    world.settle()
    world.wait(seconds=1)
    world.settle()
    return world


def the_gate_is_disabled() -> World:
    return one(antiFraud={"threshold": 0.0})


def recalibration_is_overdue() -> World:
    world = the_gate_is_disabled()
    world.wait(hours=24)
    world.settle()
    return world


def the_gate_is_enabled_again() -> World:
    world = recalibration_is_overdue()
    world.edit(antiFraud={"threshold": 0.4})
    world.settle()
    return world


def a_pod_accepts_everything() -> World:
    return reporting(threshold=0.0)


def service(world: World, percent: float, *, requests: float = 100.0) -> World:
    for pod in world.pods:
        pod.service = ServiceReport(requests=requests, availability_percent=percent, durations=HISTOGRAM)
    world.settle()
    return world


def the_service_is_slow_and_fails() -> World:
    return service(one(serviceLevel={"minAvailabilityPercent": 99, "maxP95Seconds": 1}), 90.0)


def the_service_is_well_again() -> World:
    world = the_service_is_slow_and_fails()
    world.edit(serviceLevel={"maxP95Seconds": 3})
    return service(world, 99.9)


def there_are_few_requests() -> World:
    return service(one(serviceLevel={"minRequests": 1000}), 90.0)


def scaled(world: World, status: str, **fields: str) -> World:
    condition = {"type": "ScalingActive", "status": status, "lastTransitionTime": timestamp(BEGIN), **fields}
    world.children["HorizontalPodAutoscaler", "whales"]["status"] = {"conditions": [condition]}
    world.settle()
    return world


def the_autoscaler_has_no_metrics() -> World:
    world = one(serving={"autoscaling": {"minReplicas": 1}})
    world.wait(minutes=2)
    return scaled(world, "False", reason="FailedGetResourceMetric", message="no metrics known for pods")


def the_autoscaler_has_metrics_again() -> World:
    return scaled(the_autoscaler_has_no_metrics(), "True")


def the_spec_is_invalid() -> World:
    world = one()
    world.edit(registry={"active": "nobody"}, antiFraud={"threshold": 7})
    world.settle()
    return world


STORIES: tuple[Callable[[], World], ...] = (
    a_model_serves,
    a_rollout_begins,
    a_model_is_promoted,
    a_model_is_refused,
    a_deprecated_model_is_refused,
    the_first_model_is_refused,
    a_model_comes_back,
    a_failed_candidate_is_given_up,
    a_model_is_adopted,
    a_lost_status_is_written_again_from_the_served_model,
    a_drifting_model_is_judged_again_after_all_was_lost,
    a_drifting_model_is_adopted_after_all_was_lost,
    a_model_drifts,
    drift_ends,
    drift_rolls_back,
    drift_rolls_back_to_a_model_without_a_digest,
    drift_rolls_back_a_model_without_a_digest,
    drift_finds_no_model_before,
    drift_compares_the_model_before,
    drift_finds_no_better_model,
    drift_finds_no_baseline,
    drift_of_the_score_alone_compares_nothing,
    pictures_are_rejected,
    too_few_samples,
    weights_do_not_match,
    a_pod_serves_other_weights,
    a_pod_serves_another_model,
    a_pod_serves_another_version,
    a_pod_serves_another_configuration,
    a_pod_serves_another_rollout,
    a_pod_has_another_threshold,
    a_pod_names_no_weights,
    pods_load_different_weights,
    a_model_has_no_digest,
    a_pod_is_silent,
    all_pods_are_silent,
    a_pod_was_not_scraped_yet,
    no_replica_is_wanted,
    a_probe_fails,
    the_gate_is_disabled,
    recalibration_is_overdue,
    the_gate_is_enabled_again,
    a_pod_accepts_everything,
    the_service_is_slow_and_fails,
    the_service_is_well_again,
    there_are_few_requests,
    the_autoscaler_has_no_metrics,
    the_autoscaler_has_metrics_again,
    the_spec_is_invalid,
)


def parts(status: Status) -> dict[str, str]:
    """Return one line for each condition, promotion, model that has served, and other part of the status."""
    written = status_as_applied(status)
    found = {
        one.type: f"{one.status} {one.reason}: {one.message} [{one.last_transition_time}]"
        + (f" of generation {one.observed_generation}" if one.observed_generation != status.observed_generation else "")
        for one in status.conditions
    }
    found |= {
        f"history.{number}": f"{one.model} {one.version} {one.digest} {one.weights_url} {one.at} {one.reason}: {one.why}"
        for number, one in enumerate(status.history)
    }
    found |= {f"served.{one.entry.name}": f"{one.digest} {one.first_served_at}" for one in status.served}
    others = {key: value for key, value in written.items() if key not in {"conditions", "history", "served"}}
    return found | {key: json.dumps(value, sort_keys=True) for key, value in others.items()}


def described(status: Status, events: Iterable[EventSpec], plan: Plan) -> str:
    """Return all Events so far, and what differs from the status of a model that serves."""
    usual = {} if status == SERVES else parts(SERVES)
    found = parts(status)
    lines = [f"{one.type} {one.reason} ({one.action}): {one.message}" for one in events]
    lines += [f"{key}: {value}" for key, value in found.items() if usual.get(key) != value]
    lines += [f"no {key}" for key in usual if key not in found]
    lines += [f"{key}: {value}" for key, value in plan.annotations.items()]
    lines += [f"next reconcile after {plan.requeue_after} s"] if plan.requeue_after is not None else []
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_ends_with_the_status_and_events_of_its_snapshot(story: Callable[[], World], tmp_path: Path) -> None:
    world = story()
    plan = world.decide()
    check(SNAPSHOTS / f"{story.__name__}.txt", described(plan.status, world.events, plan), tmp_path)


@pytest.mark.parametrize(
    ("name", "observed"),
    [
        ("a_name_is_taken", Observed(name_conflict="Deployment whales")),
        ("a_child_is_refused", Observed(refused="the API server refused a child: quota")),
    ],
)
def test_what_cannot_be_applied_is_reported_as_in_its_snapshot(name: str, observed: Observed, tmp_path: Path) -> None:
    plan = decide(CetaceanModel.of(World().obj), observed, BEGIN)
    check(SNAPSHOTS / f"{name}.txt", described(plan.status, plan.events, plan), tmp_path)


# --- Children ---------------------------------------------------------------------------------------------------------

FULL: dict[str, Any] = {
    "serving": {
        "replicas": 3,
        "networkPolicy": {"ingressFrom": [{"namespaceSelector": {}}]},
        "serviceMonitor": {"interval": "15s", "labels": {"release": "prometheus"}},
        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "4Gi"}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "imagePullSecrets": [{"name": "pull"}],
        "serviceAccountName": "models",
        "priorityClassName": "high",
        "runtimeClassName": "gvisor",
        "podLabels": {"team": "whales"},
        "podAnnotations": {"a": "b"},
        "env": [
            {"name": "CETACEAN_ENGINE__NAME", "value": "torch-eager"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        "weightsCache": {"sizeLimit": "2Gi"},
    },
    "antiFraud": {"threshold": 0.5, "calibratedAt": "2025-12-15", "model": {"architecture": "ViT-B-16"}},
    "drift": {"window": 200, "minSamples": 20, "alarmDrop": 0.05},
}
AUTOSCALED: dict[str, Any] = {
    "serving": {
        "autoscaling": {"minReplicas": 2, "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}}},
        "podDisruptionBudget": {"minAvailable": 1},
        "weightsCache": {"persistentVolumeClaim": {"claimName": "weights"}},
    }
}


@pytest.mark.parametrize(
    ("name", "spec"), [("children_minimal", {}), ("children_full", FULL), ("children_autoscaled", AUTOSCALED)]
)
def test_the_children_are_those_of_the_snapshot(name: str, spec: dict[str, Any], tmp_path: Path) -> None:
    world = World(
        manifest(entry("first", inputSize=512, backbone="b4"), **spec), served_kinds=frozenset({"ServiceMonitor"})
    )
    observed = replace(world.observed(), operator_namespace="system")
    plan = decide(CetaceanModel.of(world.obj), observed, BEGIN)
    check(SNAPSHOTS / f"{name}.yaml", yaml.safe_dump_all(plan.apply, sort_keys=True, width=110), tmp_path)
