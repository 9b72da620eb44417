"""The share of a Gateway's requests that the HTTPRoute gives to a candidate, one step after the other.

The proxies behind a Gateway take a route and its Services in any order: a share that a route gives to a Service that a
proxy does not know yet, or not any more, is answered with 503. So the HTTPRoute names the Service with weight 0 first
and last, and each step waits until the Gateway has reported on the one before.
"""

from __future__ import annotations

from cetacean_operator.api.objects import mapping_of, mappings_of
from cetacean_operator.api.observed import Object


def candidate_share(wanted: int | None, service: str, live: Object | None, *, exists: bool) -> int | None:
    """Return the weight of a candidate's Service for the HTTPRoute.

    Args:
        wanted: percent of the requests; 0 before and after its canary; None if it has none.
        service: its name.
        live: the HTTPRoute.
        exists: true if the Service does.

    Returns:
        None if the HTTPRoute must not name the Service.
    """
    has_share = _has_share(service, live)
    if not exists or (wanted is None and has_share is None):
        return None
    if wanted is None:
        return 0 if may_lead_to(service, live) else None
    return wanted if has_share or (has_share is not None and _is_reported(live)) else 0


def may_lead_to(service: str, live: Object | None) -> bool:
    """Return true if a Gateway may send clients to a Service.

    It may if the live HTTPRoute gives the Service a weight, or if a controller that has reported on the HTTPRoute
    before has not reported on its present generation.

    Args:
        service: its name.
        live: the HTTPRoute.
    """
    return bool(_has_share(service, live)) or not _is_reported(live)


def _has_share(service: str, live: Object | None) -> bool | None:
    """Return true if the HTTPRoute gives a Service a weight, None if it does not name it."""
    found = [
        backend.get("weight") != 0  # without one it is 1
        for rule in mappings_of(mapping_of((live or {}).get("spec")).get("rules"))
        for backend in mappings_of(rule.get("backendRefs"))
        if backend.get("name") == service
    ]
    return any(found) if found else None


def _is_reported(live: Object | None) -> bool:
    if live is None:
        return True
    seen = [
        [condition.get("observedGeneration") for condition in mappings_of(entry.get("conditions"))]
        for entry in mappings_of(mapping_of(live.get("status")).get("parents"))
    ]
    generation = live["metadata"].get("generation")
    return all(not generations or generation in generations for generations in seen)
