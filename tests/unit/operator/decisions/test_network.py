"""Who may reach pods, and the NetworkPolicy that says so."""

from __future__ import annotations

from typing import Any

import pytest

from cetacean_operator.api.serving import Serving
from cetacean_operator.decisions.network import admit, clients, operator_pods

NAMESPACE_PODS: dict[str, Any] = {"podSelector": {}}
INGRESS = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "cetacean-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "cetacean-operator"}},
}


def test_the_operator_is_named_by_its_pods_and_its_own_namespace() -> None:
    assert operator_pods("cetacean-system") == OPERATOR


@pytest.mark.parametrize(
    ("policy", "peers"),
    [
        (None, [NAMESPACE_PODS]),
        ({}, [NAMESPACE_PODS]),
        ({"ingressFrom": []}, []),
        ({"ingressFrom": [INGRESS]}, [INGRESS]),
    ],
    ids=["no policy", "no peers named", "nobody", "another namespace"],
)
def test_clients_are_the_named_peers_or_all_pods_of_the_namespace(
    policy: dict[str, Any] | None, peers: list[Any]
) -> None:
    serving = Serving.model_validate({"image": "cetacean-inference:1", "networkPolicy": policy})
    assert clients(serving, "cetacean-system") == [*peers, OPERATOR], "the operator may always scrape"


def test_a_policy_admits_its_peers_to_the_port_of_the_service_and_to_further_ports() -> None:
    labels, metrics = {"app": "whales"}, {"port": 9090, "protocol": "TCP"}
    http = {"port": 8080, "protocol": "TCP"}
    expected: dict[str, Any] = {
        "spec": {
            "podSelector": {"matchLabels": {"app": "whales"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [INGRESS, OPERATOR], "ports": [http]}],
        }
    }
    assert admit(labels, [INGRESS, OPERATOR]) == expected
    expected["spec"]["ingress"][0]["ports"] = [http, metrics]
    assert admit(labels, [INGRESS, OPERATOR], [metrics]) == expected
