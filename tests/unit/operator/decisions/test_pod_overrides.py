"""Fields of spec.serving that add to a pod or replace its defaults, and containers that others add to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.operator_world import World, entry, manifest

from cetacean_operator.api.spec import parse_spec
from cetacean_operator.decisions.pod_overrides import replaced, with_overrides


def pod(**serving: Any) -> dict[str, Any]:
    """Return the spec of the pods of a resource with these fields of spec.serving."""
    world = World(manifest(entry("first"), serving=serving))
    world.settle()
    assert world.deployment is not None
    found: dict[str, Any] = world.deployment["spec"]["template"]["spec"]
    return found


def own(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of the operator."""
    return [one for one in (*spec["initContainers"], *spec["containers"]) if one["name"] in ("fetch", "serve")]


def test_keys_replace_defaults_one_by_one_and_null_removes_one() -> None:
    assert replaced({"a": 1, "b": 2}, None) == {"a": 1, "b": 2}
    assert replaced({"a": 1, "b": 2}, {"a": None, "c": 3}) == {"b": 2, "c": 3}
    assert replaced({"a": {"x": 1}}, {"a": {"y": 2}}) == {"a": {"y": 2}}


def test_a_pod_without_fixed_ids_gets_those_of_its_namespace() -> None:
    context = pod(podSecurityContext=dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup")))["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_security_context_of_both_containers_is_replaced_key_by_key() -> None:
    for container in own(pod(securityContext={"readOnlyRootFilesystem": None, "runAsUser": 7})):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsUser": 7,
        }


def test_added_containers_are_restricted_unless_they_say_otherwise() -> None:
    spec = pod(
        sidecars=[{"name": "a", "image": "a"}, {"name": "b", "securityContext": {"capabilities": None}}],
        extraInitContainers=[{"name": "c", "image": "c", "restartPolicy": "Always"}],
    )
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    serve, first, second = spec["containers"]
    assert serve["name"] == "serve"
    assert first == {"name": "a", "image": "a", "securityContext": restricted}
    assert second == {"name": "b", "securityContext": {"allowPrivilegeEscalation": False}}
    before, fetch = spec["initContainers"]
    assert fetch["name"] == "fetch", "weights are fetched when the added containers are there"
    assert before == {"name": "c", "image": "c", "restartPolicy": "Always", "securityContext": restricted}


def test_volumes_and_mounts_are_added_to_those_of_the_operator() -> None:
    spec = pod(
        volumes=[{"name": "ca", "configMap": {"name": "ca"}}],
        volumeMounts=[{"name": "ca", "mountPath": "/ca", "readOnly": True}],
    )
    assert [one["name"] for one in spec["volumes"]] == ["weights", "monitoring", "tmp", "ca"]
    for container in own(spec):
        assert container["volumeMounts"][-1] == {"name": "ca", "mountPath": "/ca", "readOnly": True}
        assert len(container["volumeMounts"]) == 4


def test_a_lifecycle_keeps_the_time_for_requests_in_progress_unless_it_replaces_it() -> None:
    start = {"exec": {"command": ["true"]}}
    (serve,) = pod(lifecycle={"postStart": start})["containers"]
    assert serve["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}, "postStart": start}
    (serve,) = pod(lifecycle={"preStop": None})["containers"]
    assert "lifecycle" not in serve


def test_a_lifecycle_is_set_also_where_the_operator_sets_none() -> None:
    start = {"exec": {"command": ["true"]}}
    (serve,) = pod(lifecycle={"postStart": start}, terminationGracePeriodSeconds=1)["containers"]
    assert serve["lifecycle"] == {"postStart": start}


def test_a_lifecycle_is_that_of_the_container_that_serves() -> None:
    start = {"exec": {"command": ["true"]}}
    serving = parse_spec(manifest(serving={"lifecycle": {"postStart": start}})["spec"]).serving
    containers: list[dict[str, Any]] = [
        {"name": name, "securityContext": {}, "volumeMounts": []} for name in ("other", "serve")
    ]
    found = with_overrides({"securityContext": {}, "containers": containers, "volumes": []}, serving)
    assert found["containers"] == [containers[0], containers[1] | {"lifecycle": {"postStart": start}}]


def test_hosts_and_names_are_passed_on() -> None:
    spec = pod(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["s"]}], dnsConfig={"nameservers": ["10.0.0.2"]})
    assert spec["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["s"]}]
    assert spec["dnsConfig"] == {"nameservers": ["10.0.0.2"]}


FIELDS: dict[str, Any] = {
    "sidecars": [{"name": "proxy", "image": "p", "ports": [{"containerPort": 9000}], "stdin": False}],
    "volumes": [{"name": "v", "emptyDir": {}}],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/w", "readOnly": False}],
    "service": {"type": "NodePort", "annotations": {"a": "b"}, "ports": [{"name": "metrics", "port": 9000}]},
}


def test_the_service_has_the_type_the_annotations_and_the_further_ports() -> None:
    world = World(manifest(entry("first"), serving=FIELDS | {"networkPolicy": {}}))
    world.settle()
    service = world.children["Service", "whales"]
    assert service["spec"]["type"] == "NodePort"
    assert service["metadata"]["annotations"]["a"] == "b"
    assert service["spec"]["ports"][1:] == [{"name": "metrics", "port": 9000, "protocol": "TCP"}]
    (rule,) = world.children["NetworkPolicy", "whales"]["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == [8080, 9000]


def test_a_further_port_of_the_service_opens_the_port_that_it_leads_to() -> None:
    port = {"name": "grpc", "port": 90, "targetPort": "rpc", "protocol": "UDP"}
    world = World(manifest(entry("first"), serving={"networkPolicy": {}, "service": {"ports": [port]}}))
    world.settle()
    (rule,) = world.children["NetworkPolicy", "whales"]["spec"]["ingress"]
    assert rule["ports"][1] == {"port": "rpc", "protocol": "UDP"}


def test_the_candidate_keeps_a_service_of_its_own_kind() -> None:
    world = World(manifest(entry("first"), serving=FIELDS))
    world.settle()
    assert set(world.children["Service", "whales"]["spec"]) == {"selector", "ports", "type"}


@pytest.mark.parametrize("omitted", [("stdin",), ("readOnly",), ("stdin", "readOnly")])
def test_what_the_api_server_leaves_out_is_not_written_again_and_again(omitted: tuple[str, ...]) -> None:
    """The API server stores no field that is false."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: strip(value) for key, value in node.items() if key not in omitted or value}
        return [strip(one) for one in node] if isinstance(node, list) else node

    world = World(manifest(entry("first"), serving=FIELDS))
    world.settle()
    world.children = strip(world.children)
    assert world.decide().apply == ()


def test_what_others_add_to_the_deployment_is_left_alone() -> None:
    world = World(manifest(entry("first"), serving=FIELDS))
    world.settle()
    assert world.deployment is not None
    before = copy.deepcopy(world.deployment)
    spec = world.deployment["spec"]["template"]["spec"]
    spec["containers"].insert(0, {"name": "mesh", "image": "m", "ports": [{"name": "http", "containerPort": 15001}]})
    spec["initContainers"].insert(0, {"name": "mesh-init", "image": "m"})
    spec["volumes"].append({"name": "mesh", "emptyDir": {}})
    for container in own(spec):
        container["volumeMounts"].append({"name": "tmp", "mountPath": "/mesh"})
        container["env"].append({"name": "MESH", "value": "1"})
    spec["hostAliases"] = [{"ip": "1.2.3.4"}]
    spec["tolerations"] = [{"key": "a"}]
    spec["securityContext"]["supplementalGroups"] = [1]
    world.children["Service", "whales"]["metadata"]["annotations"]["other"] = "x"
    assert world.decide().apply == ()
    assert world.deployment != before


def test_a_container_that_comes_first_is_not_taken_for_the_service() -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    assert world.deployment is not None
    world.deployment["spec"]["template"]["spec"]["containers"].insert(0, {"name": "mesh", "env": []})
    world.obj["status"] = {}
    world.reconcile()
    assert world.deployed == "first"
    assert world.status.history[0].model == "first"
