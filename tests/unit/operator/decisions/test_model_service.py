"""The Service of a resource: which pods it selects, its ports, and what `spec.serving.service` adds."""

from __future__ import annotations

from typing import Any

import pytest

from cetacean_operator.api.observed import Object
from cetacean_operator.api.service_fields import ServiceFields
from cetacean_operator.decisions.model_service import clients_selector, extra_targets, selector, service

OWN_PODS = {"ecomarineai.org/cetaceanmodel": "whales"}
HTTP = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}


def test_a_resources_own_pods_are_selected_by_its_name() -> None:
    assert selector("whales") == OWN_PODS


def test_the_pods_that_clients_may_reach_are_selected_without_the_label_that_a_candidate_has_of_its_own() -> None:
    assert clients_selector("whales") == {
        "app.kubernetes.io/name": "cetacean-inference",
        "app.kubernetes.io/instance": "whales",
        "app.kubernetes.io/managed-by": "cetacean-operator",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (None, {"spec": {"selector": OWN_PODS, "ports": [HTTP]}}),
        ({}, {"spec": {"selector": OWN_PODS, "ports": [HTTP]}}),
        ({"annotations": {}}, {"spec": {"selector": OWN_PODS, "ports": [HTTP]}}),
        ({"type": "NodePort"}, {"spec": {"selector": OWN_PODS, "ports": [HTTP], "type": "NodePort"}}),
        (
            {"annotations": {"team": "whales"}},
            {"spec": {"selector": OWN_PODS, "ports": [HTTP]}, "metadata": {"annotations": {"team": "whales"}}},
        ),
        (
            {"ports": [{"name": "proxy", "port": 9000, "targetPort": "web"}]},
            {
                "spec": {
                    "selector": OWN_PODS,
                    "ports": [HTTP, {"name": "proxy", "port": 9000, "targetPort": "web", "protocol": "TCP"}],
                }
            },
        ),
        (
            {"ports": [{"name": "dns", "port": 53, "protocol": "UDP", "appProtocol": "dns"}]},
            {
                "spec": {
                    "selector": OWN_PODS,
                    "ports": [HTTP, {"name": "dns", "port": 53, "protocol": "UDP", "appProtocol": "dns"}],
                }
            },
        ),
    ],
    ids=["no fields", "none set", "no annotation", "a type", "annotations", "a port", "a port with its own protocol"],
)
def test_a_service_has_its_port_and_what_the_spec_adds(fields: dict[str, Any] | None, expected: Object) -> None:
    given = None if fields is None else ServiceFields.model_validate(fields)
    assert service(OWN_PODS, given) == expected


@pytest.mark.parametrize(
    ("port", "target"),
    [
        ({"port": 9000}, {"port": 9000, "protocol": "TCP"}),
        ({"port": 9000, "targetPort": 9001}, {"port": 9001, "protocol": "TCP"}),
        ({"port": 9000, "targetPort": "web"}, {"port": "web", "protocol": "TCP"}),
        ({"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "UDP"}),
    ],
    ids=["the same number", "another number", "a name", "another protocol"],
)
def test_a_network_policy_admits_a_further_port_as_pods_have_it(port: dict[str, Any], target: Object) -> None:
    assert extra_targets(ServiceFields.model_validate({"ports": [{"name": "proxy", **port}]})) == [target]


def test_without_further_ports_a_network_policy_admits_none() -> None:
    assert extra_targets(None) == []
    assert extra_targets(ServiceFields()) == []
