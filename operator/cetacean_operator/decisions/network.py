"""Which pods a Service selects, and which peers may reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.serving import Serving

Ref = tuple[str, str]
"""Kind and name of a child."""


def selector(name: str) -> dict[str, str]:
    """Return the labels that select a resource's pods. They are immutable in a Deployment: never change them."""
    return {names.LABEL_MODEL: name}


def clients_selector(name: str) -> dict[str, str]:
    """Return the labels that select the pods of a resource and of its candidate."""
    return {
        names.LABEL_NAME: names.APP,
        names.LABEL_INSTANCE: name,
        names.LABEL_MANAGED_BY: names.MANAGER,
    }


def service(labels: Mapping[str, str]) -> Object:
    """Return a Service of the pods with these labels."""
    port = {"name": names.PORT_NAME, "port": 80, "targetPort": names.PORT_NAME, "protocol": "TCP"}
    return {"spec": {"selector": dict(labels), "ports": [port]}}


def clients(serving: Serving, operator_namespace: str) -> Sequence[Any]:
    """Return the peers that may reach the pods that answer clients."""
    policy = serving.network_policy
    peers = [{"podSelector": {}}] if policy is None or policy.ingress_from is None else list(policy.ingress_from)
    return [*peers, operator_pods(operator_namespace)]


def operator_pods(operator_namespace: str) -> Object:
    """Return the operator as a peer."""
    return {
        "namespaceSelector": {"matchLabels": {names.LABEL_NAMESPACE: operator_namespace}},
        "podSelector": {"matchLabels": {names.LABEL_NAME: names.MANAGER}},
    }


def admit(labels: Mapping[str, str], peers: Sequence[Any]) -> Object:
    """Return a NetworkPolicy that lets only these peers reach the pods with these labels."""
    return {
        "spec": {
            "podSelector": {"matchLabels": dict(labels)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": list(peers), "ports": [{"port": names.PORT, "protocol": "TCP"}]}],
        }
    }
