"""The Service of a resource, or of its candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.service_fields import ServiceFields


def selector(name: str) -> dict[str, str]:
    """Return the labels that select a resource's pods. They are immutable in a Deployment: never change them."""
    return {names.LABEL_MODEL: name}


def clients_selector(name: str) -> dict[str, str]:
    """Return the labels that select the pods of a resource and of its candidate."""
    return {names.LABEL_NAME: names.APP, names.LABEL_INSTANCE: name, names.LABEL_MANAGED_BY: names.MANAGER}


def service(labels: Mapping[str, str], fields: ServiceFields | None = None) -> Object:
    """Return the Service that selects pods by their labels.

    Args:
        labels: of the pods.
        fields: what `spec.serving.service` adds.
    """
    # By number: a container that a webhook adds may have a port of the same name.
    port = {"name": names.PORT_NAME, "port": names.SERVICE_PORT, "targetPort": names.PORT, "protocol": "TCP"}
    spec: dict[str, Any] = {"selector": dict(labels), "ports": [port]}
    if fields is None:
        return {"spec": spec}
    spec["ports"] += [{"protocol": "TCP", **one.wire()} for one in fields.ports]
    if fields.type:
        spec["type"] = fields.type
    return {"spec": spec} | ({"metadata": {"annotations": fields.annotations}} if fields.annotations else {})


def extra_targets(fields: ServiceFields | None) -> list[Object]:
    """Return the ports of the pods that the further ports of the Service lead to, as a NetworkPolicy names them."""
    given = ({"protocol": "TCP", **one.wire()} for one in fields.ports) if fields else ()
    return [{"port": one.get("targetPort", one["port"]), "protocol": one["protocol"]} for one in given]
