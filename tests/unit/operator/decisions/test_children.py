"""Which objects a resource owns, and that each holds only what is the operator's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.operator_world import World, entry, manifest


def world(**serving: Any) -> World:
    made = World(manifest(entry("first"), serving=serving))
    made.settle()
    return made


def kinds(made: World) -> set[str]:
    return {kind for kind, _ in made.children}


@pytest.mark.parametrize(
    ("serving", "extra"),
    [
        ({}, set()),
        ({"replicas": 2}, {"PodDisruptionBudget"}),
        ({"replicas": 2, "podDisruptionBudget": {"enabled": False}}, set()),
        ({"replicas": 1, "podDisruptionBudget": {"minAvailable": 1}}, {"PodDisruptionBudget"}),
        ({"autoscaling": {"minReplicas": 1}}, {"HorizontalPodAutoscaler"}),
        ({"autoscaling": {}}, {"HorizontalPodAutoscaler", "PodDisruptionBudget"}),
        ({"networkPolicy": {}}, {"NetworkPolicy"}),
        ({"networkPolicy": {"enabled": False}}, set()),
        ({"serviceMonitor": {}}, set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # alike in every process
)
def test_what_exists(serving: dict[str, Any], extra: set[str]) -> None:
    assert kinds(world(**serving)) == {"ConfigMap", "Deployment", "Service"} | extra


def test_a_service_monitor_needs_its_api() -> None:
    made = World(manifest(serving={"serviceMonitor": {"labels": {"release": "p"}}}), service_monitors=True)
    made.settle()
    monitor = made.children["ServiceMonitor", "whales"]
    assert monitor["metadata"]["labels"]["release"] == "p"
    made.edit(serving={"serviceMonitor": {"enabled": False}})
    made.settle()
    assert "ServiceMonitor" not in kinds(made)


def test_what_is_no_longer_wanted_is_deleted() -> None:
    made = world(replicas=2, networkPolicy={})
    made.edit(serving={"replicas": 1, "networkPolicy": None})
    made.settle()
    assert kinds(made) == {"ConfigMap", "Deployment", "Service"}


def test_what_others_made_stays_whatever_its_labels_are() -> None:
    made = world(replicas=2)
    service = made.children["Service", made.obj["metadata"]["name"]]
    exposed = {
        **service,
        "metadata": {**service["metadata"], "name": "whales-lb", "ownerReferences": [], "annotations": {}},
    }
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x", "uid": "x", "controller": True}
    others = {**service, "metadata": {**service["metadata"], "name": "owned", "ownerReferences": [owner]}}
    orphan = {**service, "metadata": {**service["metadata"], "name": "orphan", "ownerReferences": []}}
    for one in (exposed, others, orphan):
        made.children["Service", one["metadata"]["name"]] = one
    assert [one.name for one in made.decide().delete] == ["orphan"], "it bears what the operator wrote"


def test_all_are_owned_and_labelled() -> None:
    for (kind, name), child in world(replicas=2, networkPolicy={}).children.items():
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
            "CetaceanModel",
            "whales",
            "uid-1",
            True,
        )
        assert child["metadata"]["labels"]["ecomarineai.org/cetaceanmodel"] == "whales"
        assert child["metadata"]["namespace"] == "sea"
        assert name.startswith("whales"), kind


def test_replicas_are_not_ours_while_an_autoscaler_is() -> None:
    made = world(replicas=3)
    assert made.deployment is not None
    assert made.deployment["spec"]["replicas"] == 3
    made.edit(serving={"autoscaling": {"minReplicas": 2, "maxReplicas": 5}})
    plan = made.decide()
    (deployment,) = (child for child in plan.apply if child["kind"] == "Deployment")
    assert "replicas" not in deployment["spec"]
    scaler = next(child for child in plan.apply if child["kind"] == "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 5)
    assert "behavior" not in scaler["spec"]


def test_the_autoscaler_is_the_fields_where_nothing_is_said() -> None:
    made = world(autoscaling={})
    spec = made.children["HorizontalPodAutoscaler", "whales"]["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "whales"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    target = {"type": "Utilization", "averageUtilization": 70}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert len(made.pods) == 3


def test_how_fast_it_scales_is_handed_on() -> None:
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 0, "tolerance": "0.05"}}
    made = world(autoscaling={"behavior": behavior})
    scaler = made.children["HorizontalPodAutoscaler", "whales"]
    assert scaler["spec"]["behavior"] == behavior
    scaler["spec"]["behavior"]["scaleUp"]["tolerance"] = "50m"  # as the API server writes it
    assert not made.decide().apply


def test_the_autoscalers_number_is_what_is_wanted_then() -> None:
    made = world(autoscaling={"minReplicas": 1, "maxReplicas": 5})
    assert made.deployment is not None
    made.deployment["spec"]["replicas"] = 4
    assert not made.decide().apply
    made.settle()
    assert len(made.pods) == 4
    assert "4 of 4 wanted replicas" in made.condition("Ready").message


def test_fewer_than_its_fewest_are_not_enough() -> None:
    made = World(manifest(serving={"autoscaling": {"minReplicas": 2}}))
    made.reconcile()
    assert made.deployment is not None
    assert "replicas" not in made.deployment["spec"]
    assert made.condition("Ready").message.startswith("0 of 2 wanted replicas")
    made.deployment["spec"]["replicas"] = 1  # the API server's default, until the autoscaler has looked
    made.reconcile()
    assert made.condition("Ready").message.startswith("0 of 2 wanted replicas")
    made.deployment["spec"]["replicas"] = 0  # by hand: it leaves that alone, and so do we
    assert not made.decide().apply
    made.reconcile()
    assert "0 of 0 wanted replicas" in made.condition("Ready").message


def test_a_budget_lets_pods_go_that_never_got_ready() -> None:
    spec = world(replicas=2).children["PodDisruptionBudget", "whales"]["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_no_pod_goes_before_another_is_ready() -> None:
    made = world()
    assert made.deployment is not None
    assert made.deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_change_cause_names_model_and_version() -> None:
    made = world()
    assert made.deployment is not None
    cause = made.deployment["metadata"]["annotations"]["kubernetes.io/change-cause"]
    assert cause == "first 1.0.0 (sha256:aaaaaaaaaaaa), threshold 0.52"


def test_monitoring_is_what_the_contract_says() -> None:
    made = World(
        manifest(
            entry("first", metrics={"cetaceanScoreMean": 0.93}),
            entry("bare", "b", metrics=None),
            drift={"window": 200, "minSamples": 20, "alarmDrop": 0.05},
        )
    )
    made.settle()
    content = json.loads(made.children["ConfigMap", "whales-monitoring"]["data"]["monitoring.json"])
    assert content == {"window": 200, "min_samples": 20, "alarm_drop": 0.05, "baselines": {"first": 0.93}}


def test_the_service_reaches_the_named_port() -> None:
    spec = world().children["Service", "whales"]["spec"]
    assert spec["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    assert spec["selector"] == {"ecomarineai.org/cetaceanmodel": "whales"}


def test_the_operator_may_always_reach_the_pods() -> None:
    peers = world(networkPolicy={"ingressFrom": []}).children["NetworkPolicy", "whales"]["spec"]["ingress"][0]["from"]
    operator = {"app.kubernetes.io/name": "cetacean-operator"}
    assert peers == [{"namespaceSelector": {}, "podSelector": {"matchLabels": operator}}]
