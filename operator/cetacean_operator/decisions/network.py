"""The peers that may reach pods, and the NetworkPolicy that admits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.serving import Serving
from cetacean_operator.decisions.model_service import selector


def clients(serving: Serving, operator_namespace: str) -> Sequence[Any]:
    """Return the peers that may reach the pods that answer clients."""
    policy = serving.network_policy
    peers = [{"podSelector": {}}] if policy is None or policy.ingress_from is None else list(policy.ingress_from)
    return [*peers, operator_pods(operator_namespace)]


def own_pods(name: str) -> Object:
    """Return the pods of a resource that answer clients, as a peer."""
    return {"podSelector": {"matchLabels": selector(name)}}


def operator_pods(operator_namespace: str) -> Object:
    """Return the operator as a peer."""
    return {
        "namespaceSelector": {"matchLabels": {names.LABEL_NAMESPACE: operator_namespace}},
        "podSelector": {"matchLabels": {names.LABEL_NAME: names.MANAGER}},
    }


def admit(labels: Mapping[str, str], peers: Sequence[Any], more: Sequence[Object] = ()) -> Object:
    """Return a NetworkPolicy that lets only these peers reach the pods with these labels.

    Args:
        labels: of the pods.
        peers: who may reach them.
        more: ports of the pods beside the service's.
    """
    return {
        "spec": {
            "podSelector": {"matchLabels": dict(labels)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": list(peers), "ports": [{"port": names.PORT, "protocol": "TCP"}, *more]}],
        }
    }
