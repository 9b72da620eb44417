"""The HTTPRoute of a resource: its clients' paths to the Service N, and a share of them to its candidate."""

from __future__ import annotations

from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.route import Route

_ALL = 100


def http_route(name: str, route: Route, *, canary_weight: int | None = None) -> Object:
    """Return the body of the HTTPRoute.

    Args:
        name: of the resource and of its Service.
        route: `spec.serving.route`.
        canary_weight: percent of the requests that the candidate's Service gets; None if it is not named.

    Raises:
        ValueError: the weight is not within 0..100.
    """
    rule: dict[str, Any] = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in route.paths or names.CLIENT_PATHS],
        "backendRefs": _backends(name, canary_weight),
    }
    if route.request_timeout is not None:
        rule["timeouts"] = {"request": route.request_timeout}
    spec: dict[str, Any] = {"parentRefs": [parent.wire() for parent in route.parent_refs], "rules": [rule]}
    if route.hostnames:
        spec["hostnames"] = list(route.hostnames)
    return {"spec": spec}


def _backends(name: str, canary_weight: int | None) -> list[dict[str, Any]]:
    if canary_weight is None:
        return [_backend(name, _ALL)]
    if not 0 <= canary_weight <= _ALL:
        raise ValueError(f"canary weight: expected 0..{_ALL} percent, got {canary_weight}")
    return [_backend(name, _ALL - canary_weight), _backend(names.candidate_name(name), canary_weight)]


def _backend(service: str, weight: int) -> dict[str, Any]:
    return {"kind": "Service", "name": service, "port": names.SERVICE_PORT, "weight": weight}
