"""The children of a resource and their fields."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import World, entry, manifest

from cetacean_operator.api.kinds import CRD_CHILD_KINDS
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.api.spec import Spec, parse_spec
from cetacean_operator.api.stages import Canary
from cetacean_operator.decisions.candidate_children import Candidate
from cetacean_operator.decisions.children import children, monitoring
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.ownership import Ref
from cetacean_operator.decisions.stage_record import StageRecord
from cetacean_operator.decisions.stages import CandidateRun
from cetacean_operator.decisions.template import pod_template

OWN_PODS = {"ecomarineai.org/cetaceanmodel": "whales"}
LABELS = OWN_PODS | {
    "app.kubernetes.io/name": "cetacean-inference",
    "app.kubernetes.io/instance": "whales",
    "app.kubernetes.io/managed-by": "cetacean-operator",
}


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
def test_each_field_of_serving_adds_its_child(serving: dict[str, Any], extra: set[str]) -> None:
    assert kinds(world(**serving)) == {"ConfigMap", "Deployment", "Service"} | extra


def test_a_service_monitor_is_created_if_its_api_is_served() -> None:
    made = World(
        manifest(serving={"serviceMonitor": {"labels": {"release": "p"}}}), served_kinds=frozenset({"ServiceMonitor"})
    )
    made.settle()
    monitor = made.children["ServiceMonitor", "whales"]
    assert monitor["metadata"]["labels"]["release"] == "p"
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "30s"}]
    made.edit(serving={"serviceMonitor": {"interval": "5m"}})
    made.settle()
    (endpoint,) = made.children["ServiceMonitor", "whales"]["spec"]["endpoints"]
    assert endpoint["interval"] == "5m"
    made.edit(serving={"serviceMonitor": {"enabled": False}})
    made.settle()
    assert "ServiceMonitor" not in kinds(made)


def test_a_service_monitor_bounds_what_prometheus_takes_from_a_pod() -> None:
    monitored = World(manifest(serving={"serviceMonitor": {}}), served_kinds=frozenset({"ServiceMonitor"}))
    monitored.settle()
    spec = monitored.children["ServiceMonitor", "whales"]["spec"]
    bounds = {name: spec[name] for name in ("sampleLimit", "labelLimit", "labelValueLengthLimit", "bodySizeLimit")}
    assert bounds == {"sampleLimit": 5000, "labelLimit": 32, "labelValueLengthLimit": 1024, "bodySizeLimit": "4MB"}


def test_a_child_that_is_no_longer_wanted_is_deleted() -> None:
    made = world(replicas=2, networkPolicy={})
    made.edit(serving={"replicas": 1, "networkPolicy": None})
    made.settle()
    assert kinds(made) == {"ConfigMap", "Deployment", "Service"}


def test_objects_of_other_owners_stay_whatever_their_labels_are() -> None:
    made = world(replicas=2)
    service = made.children["Service", "whales"]
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x", "uid": "x", "controller": True}
    others: dict[str, Object] = {
        "exposed": {"ownerReferences": [], "annotations": {}},
        "owned": {"ownerReferences": [owner]},
        "orphan": {"ownerReferences": []},
    }
    for name, changes in others.items():
        made.children["Service", name] = {**service, "metadata": {**service["metadata"], "name": name, **changes}}
    assert [one.name for one in made.decide().delete] == ["orphan"], "it has the annotation of the operator"


def test_a_deployment_of_another_owner_is_not_read() -> None:
    """Someone has copied the labels of the resource to a Deployment of the same name."""
    made = world()
    assert made.deployment is not None
    theirs = made.deployment["metadata"] | {"ownerReferences": [], "annotations": {}}
    made.children["Deployment", "whales"] = made.deployment | {"metadata": theirs}
    plan = made.decide()
    assert [child["kind"] for child in plan.apply] == ["Deployment"], "the API server then reports the conflict"
    assert plan.delete == ()
    made.obj["status"] = {}
    ready = made.decide().status.condition("Ready")
    assert ready is not None
    assert ready.status == "False"


def test_all_children_have_an_owner_reference_and_labels() -> None:
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


def test_replicas_are_not_set_while_there_is_an_autoscaler() -> None:
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


def test_the_autoscaler_has_the_defaults_of_its_fields() -> None:
    made = world(autoscaling={})
    spec = made.children["HorizontalPodAutoscaler", "whales"]["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "whales"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    target = {"type": "Utilization", "averageUtilization": 70}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert len(made.pods) == 3


def test_the_autoscalers_behavior_is_copied() -> None:
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 0, "tolerance": "0.05"}}
    made = world(autoscaling={"behavior": behavior})
    scaler = made.children["HorizontalPodAutoscaler", "whales"]
    assert scaler["spec"]["behavior"] == behavior
    scaler["spec"]["behavior"]["scaleUp"]["tolerance"] = "50m"  # as the API server writes it
    assert not made.decide().apply


def test_the_autoscalers_number_of_replicas_is_the_wanted_one() -> None:
    made = world(autoscaling={"minReplicas": 1, "maxReplicas": 5})
    assert made.deployment is not None
    made.deployment["spec"]["replicas"] = 4
    assert not made.decide().apply
    made.settle()
    assert len(made.pods) == 4
    assert "4 of 4 wanted replicas" in made.condition("Ready").message


def test_at_least_the_autoscalers_minimum_of_replicas_is_wanted() -> None:
    made = World(manifest(serving={"autoscaling": {"minReplicas": 2}}))
    made.reconcile()
    assert made.deployment is not None
    assert "replicas" not in made.deployment["spec"]
    assert made.condition("Ready").message.startswith("0 of 2 wanted replicas")
    made.deployment["spec"]["replicas"] = 1  # the API server's default, until the autoscaler has changed it
    made.reconcile()
    assert made.condition("Ready").message.startswith("0 of 2 wanted replicas")
    made.deployment["spec"]["replicas"] = 0  # by hand: it leaves that alone, and so do we
    assert not made.decide().apply
    made.reconcile()
    assert "0 of 0 wanted replicas" in made.condition("Ready").message


@pytest.mark.parametrize(
    ("budget", "bound"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"maxUnavailable": 2}, {"maxUnavailable": 2}),
        ({"maxUnavailable": "40%"}, {"maxUnavailable": "40%"}),
        ({"minAvailable": 2}, {"minAvailable": 2}),
    ],
    ids=str,
)
def test_a_budget_has_the_bound_of_the_resource(budget: dict[str, Any], bound: dict[str, Any]) -> None:
    spec = world(replicas=3, podDisruptionBudget=budget).children["PodDisruptionBudget", "whales"]["spec"]
    assert {key: spec.get(key) for key in ("minAvailable", "maxUnavailable") if key in spec} == bound


def test_a_budget_allows_the_eviction_of_unready_pods() -> None:
    spec = world(replicas=2).children["PodDisruptionBudget", "whales"]["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_rollout_removes_no_pod_before_another_is_ready() -> None:
    made = world()
    assert made.deployment is not None
    assert made.deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_change_cause_names_model_and_version() -> None:
    made = world()
    assert made.deployment is not None
    cause = made.deployment["metadata"]["annotations"]["kubernetes.io/change-cause"]
    assert cause == "first 1.0.0 (sha256:aaaaaaaaaaaa), threshold 0.52"


def test_monitoring_has_the_bounds_and_the_baselines_of_models_that_have_one() -> None:
    made = World(
        manifest(
            entry("first", metrics={"cetaceanScoreMean": 0.93}),
            entry("bare", "b", metrics=None),
            entry("unmeasured", "c", metrics={"cetaceanScoreMean": None}),
            entry("other", "d", metrics={"cetaceanScoreMean": 0.8}),
            drift={"window": 200, "minSamples": 20, "alarmDrop": 0.05, "signals": {"window": 300}},
        )
    )
    made.settle()
    content = json.loads(made.children["ConfigMap", "whales-monitoring"]["data"]["monitoring.json"])
    assert content == {
        "window": 200,
        "min_samples": 20,
        "alarm_drop": 0.05,
        "answers_window": 300,
        "baselines": {"first": 0.93, "other": 0.8},
    }


def test_what_serves_keeps_its_baseline_if_the_registry_names_other_weights_by_its_name() -> None:
    made = World(manifest(entry("first", metrics={"cetaceanScoreMean": 0.9})))
    made.settle()
    made.models(entry("first", "c", metrics={"cetaceanScoreMean": 0.6, "tnr": 0.1}))
    made.settle()
    assert made.is_("GatePassed")[0] == "False"
    content = json.loads(made.children["ConfigMap", "whales-monitoring"]["data"]["monitoring.json"])
    assert content["baselines"] == {"first": 0.9}


def test_the_service_reaches_the_port_by_its_number() -> None:
    """A container that a webhook adds may have a port of the same name."""
    spec = world().children["Service", "whales"]["spec"]
    assert spec["ports"] == [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    assert spec["selector"] == {"ecomarineai.org/cetaceanmodel": "whales"}


OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "cetacean-operator"}},
}


@pytest.mark.parametrize(
    ("policy", "peers"),
    [
        ({}, [{"podSelector": {}}, OPERATOR]),
        ({"ingressFrom": []}, [OPERATOR]),
        ({"ingressFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, [{"ipBlock": {"cidr": "10.0.0.0/8"}}, OPERATOR]),
    ],
    ids=["default: the namespace", "nobody", "own peers"],
)
def test_a_network_policy_admits_its_peers_and_the_operator(policy: dict[str, Any], peers: list[Any]) -> None:
    spec = world(networkPolicy=policy).children["NetworkPolicy", "whales"]["spec"]
    assert spec["podSelector"] == {"matchLabels": {"ecomarineai.org/cetaceanmodel": "whales"}}
    assert spec["policyTypes"] == ["Ingress"]
    (rule,) = spec["ingress"]
    assert rule == {"from": peers, "ports": [{"port": 8080, "protocol": "TCP"}]}


@pytest.mark.parametrize("replicas", [1, 2])
def test_pods_that_ask_each_other_during_a_comparison_may_reach_each_other(replicas: int) -> None:
    serving = {"replicas": replicas, "networkPolicy": {"ingressFrom": []}}
    made = World(manifest(entry("first"), entry("second", "b"), rollout={"stages": [{"shadow": {}}]}, serving=serving))
    made.settle()
    made.activate("second")
    made.settle()
    assert made.comparison_plan is not None
    assert ("peer_url" in made.comparison_plan) == (replicas == 2)
    own = {"podSelector": {"matchLabels": {"ecomarineai.org/cetaceanmodel": "whales"}}}
    (rule,) = made.children["NetworkPolicy", "whales"]["spec"]["ingress"]
    assert rule["from"] == [*([own] if replicas == 2 else []), OPERATOR]


# --- Whole children ---------------------------------------------------------------------------------------------------


def obj(**spec: Any) -> Object:
    return manifest(entry("first"), entry("second", "b"), **spec)


def made_of(made: Object, **arguments: Any) -> dict[Ref, Object]:
    """The children of a resource whose first model serves."""
    resource, spec = CetaceanModel.of(made), parse_spec(made["spec"])
    rollout = rollout_of(spec.registry.models[0], spec.anti_fraud)
    wanted = {"served_kinds": CRD_CHILD_KINDS, "operator_namespace": "default"} | arguments
    return children(resource, spec, rollout, **wanted)


def canary(spec: Spec) -> CandidateRun:
    """A run of the second model that answers clients."""
    first, second = (rollout_of(model, spec.anti_fraud) for model in spec.registry.models)
    record = StageRecord(rollout=second.id, served=first.id, stage=0, kind="Canary")
    return CandidateRun(rollout=second, record=record, replicas=1, canary=Canary(weight=50))


def undated(child: Object) -> Object:
    """Leave out the digest of what was applied, which must be one."""
    annotations = dict(child["metadata"]["annotations"])
    assert re.fullmatch(r"[0-9a-f]{16}", annotations.pop("ecomarineai.org/applied-digest"))
    return {**child, "metadata": {**child["metadata"], "annotations": annotations}}


def metadata(name: str = "whales", labels: dict[str, str] = LABELS, **annotations: str) -> Object:
    owner = {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "CetaceanModel",
        "name": "whales",
        "uid": "uid-1",
        "controller": True,
    }
    return {"namespace": "sea", "name": name, "labels": labels, "ownerReferences": [owner], "annotations": annotations}


KEEP = {"persistentVolumeClaim": {"claimName": "pictures"}}


@pytest.mark.parametrize(
    ("rollout", "promotion", "annotations"),
    [
        (None, None, {}),
        ({"stages": [{"shadow": {"keepDisagreements": KEEP}}]}, "{}", {"ecomarineai.org/promotion": "{}"}),
    ],
    ids=["nothing more", "why it serves, and a folder for pictures"],
)
def test_the_deployment_of_a_resource_is_whole(
    rollout: dict[str, Any] | None, promotion: str | None, annotations: dict[str, str]
) -> None:
    given = obj(rollout=rollout, serving={"replicas": 2, "progressDeadlineSeconds": 120})
    spec = parse_spec(given["spec"])
    cause = "first 1.0.0 (sha256:aaaaaaaaaaaa), threshold 0.52"
    assert undated(made_of(given, promotion=promotion)["Deployment", "whales"]) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata() | {"annotations": {"kubernetes.io/change-cause": cause, **annotations}},
        "spec": {
            "selector": {"matchLabels": OWN_PODS},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 120,
            "paused": False,
            "replicas": 2,
            "template": pod_template(
                name="whales",
                serving=spec.serving,
                rollout=rollout_of(spec.registry.models[0], spec.anti_fraud),
                keep_disagreements=spec.rollout.keep_disagreements if spec.rollout else None,
            ),
        },
    }


def test_the_deployment_says_that_an_autoscaler_sets_its_replicas() -> None:
    deployment = made_of(obj(serving={"autoscaling": {}}))["Deployment", "whales"]
    assert deployment["metadata"]["annotations"]["ecomarineai.org/autoscaled"] == "true"


def test_the_budget_and_the_service_monitor_of_a_resource_are_whole() -> None:
    found = made_of(obj(serving={"replicas": 2, "serviceMonitor": {"labels": {"release": "p"}}}))
    assert undated(found["PodDisruptionBudget", "whales"]) == {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(),
        "spec": {
            "selector": {"matchLabels": OWN_PODS},
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
    services = {"key": "ecomarineai.org/cetaceanmodel", "operator": "In", "values": ["whales", "whales_candidate"]}
    assert undated(found["ServiceMonitor", "whales"]) == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": metadata(labels=LABELS | {"release": "p"}),
        "spec": {
            "selector": {"matchExpressions": [services]},
            "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s"}],
            "sampleLimit": 5000,
            "labelLimit": 32,
            "labelValueLengthLimit": 1024,
            "bodySizeLimit": "4MB",
        },
    }


@pytest.mark.parametrize(("length", "has_candidate"), [(53, True), (54, False)])
def test_a_service_monitor_names_the_candidate_only_if_a_label_can(length: int, has_candidate: bool) -> None:
    """The value of a label has at most 63 letters."""
    given, name = obj(serving={"serviceMonitor": {}}), "w" * length
    given["metadata"]["name"] = name
    spec = made_of(given)["ServiceMonitor", name]["spec"]
    (expression,) = spec["selector"]["matchExpressions"]
    assert expression["values"] == ([name, f"{name}_candidate"] if has_candidate else [name])


def test_further_ports_lead_to_sidecars_and_the_network_policy_admits_them() -> None:
    ports = [{"name": "proxy", "port": 9000, "targetPort": 9001}]
    found = made_of(obj(serving={"networkPolicy": {}, "service": {"type": "NodePort", "ports": ports}}))
    service = found["Service", "whales"]["spec"]
    assert (service["type"], [port["port"] for port in service["ports"]]) == ("NodePort", [80, 9000])
    (rule,) = found["NetworkPolicy", "whales"]["spec"]["ingress"]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}, {"port": 9001, "protocol": "TCP"}]


ROUTE = {"parentRefs": [{"name": "public"}]}


@pytest.mark.parametrize(
    ("route", "is_canary", "both"),
    [(None, True, True), (None, False, False), (ROUTE, True, False), (ROUTE, False, False)],
    ids=["canary by pods", "no canary", "canary by route", "route without a canary"],
)
def test_the_service_selects_the_candidates_pods_only_for_a_canary_without_a_route(
    route: dict[str, Any] | None, is_canary: bool, both: bool
) -> None:
    given = obj(serving={"route": route})
    run = canary(parse_spec(given["spec"]))
    found = made_of(given, candidate=Candidate(staged=run if is_canary else replace(run, canary=None)))
    everything = {key: value for key, value in LABELS.items() if key not in OWN_PODS}
    assert found["Service", "whales"]["spec"]["selector"] == (everything if both else OWN_PODS)


@pytest.mark.parametrize(("weight", "shares"), [(None, [100]), (25, [75, 25])])
def test_the_route_of_a_resource_gives_its_candidate_a_share(weight: int | None, shares: list[int]) -> None:
    given = obj(serving={"route": ROUTE})
    found = made_of(given, candidate=Candidate(staged=canary(parse_spec(given["spec"])), route_weight=weight))
    (rule,) = found["HTTPRoute", "whales"]["spec"]["rules"]
    assert [backend["weight"] for backend in rule["backendRefs"]] == shares


@pytest.mark.parametrize(
    ("served", "kinds"),
    [
        (frozenset(), set()),
        ({"HTTPRoute"}, {"HTTPRoute"}),
        ({"ServiceMonitor"}, {"ServiceMonitor"}),
        ({"HTTPRoute", "ServiceMonitor"}, {"HTTPRoute", "ServiceMonitor"}),
    ],
    ids=["neither", "routes", "monitors", "both"],
)
def test_a_child_whose_kind_needs_a_crd_is_made_only_if_the_cluster_serves_it(
    served: set[str], kinds: set[str]
) -> None:
    found = made_of(obj(serving={"route": ROUTE, "serviceMonitor": {}}), served_kinds=served)
    assert {kind for kind, _ in found} == {"ConfigMap", "Deployment", "Service"} | kinds


def test_the_labels_of_a_candidates_children_are_those_of_its_pods() -> None:
    given = obj()
    found = made_of(given, candidate=Candidate(staged=canary(parse_spec(given["spec"]))))
    of_candidate = LABELS | {"ecomarineai.org/cetaceanmodel": "whales_candidate"}
    assert {ref: child["metadata"]["labels"] for ref, child in found.items()} == {
        ("ConfigMap", "whales-monitoring"): LABELS,
        ("Service", "whales"): LABELS,
        ("Deployment", "whales"): LABELS,
        ("Deployment", "whales-candidate"): of_candidate,
        ("Service", "whales-candidate"): of_candidate,
    }


def test_the_monitoring_file_is_the_same_text_each_time_it_is_written() -> None:
    drift = {"window": 200, "minSamples": 20, "alarmDrop": 0.05, "signals": {"window": 300}}
    spec = parse_spec(obj(drift=drift)["spec"])
    assert monitoring(spec, spec.registry.models[0], {"share": 1.0, "run": "r"}) == (
        '{"alarm_drop": 0.05, "answers_window": 300, "baselines": {"first": 0.9, "second": 0.9}, "min_samples": 20, '
        '"shadow": {"run": "r", "share": 1.0}, "window": 200}'
    )
