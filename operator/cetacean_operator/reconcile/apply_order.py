"""In which order children are applied, and which of them pods can do without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cetacean_operator.api.observed import Object

PODS = frozenset({"Deployment"})
"""Kinds of children that pods come from."""
OPTIONAL_KINDS = frozenset({"NetworkPolicy", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor"})
"""Pods serve without them: where one cannot be applied, the way back to another model is open all the same."""
_BEFORE_PODS = frozenset({"ConfigMap", "NetworkPolicy"})


def apply_order(children: Iterable[Object]) -> Iterator[list[Object]]:
    """Sort children by what must be there first: what pods need, the pods, and what stands before them or counts them.

    The API server gives out the addresses of Services one after the other for the whole cluster: no pod waits for one.
    """
    found: tuple[list[Object], ...] = ([], [], [])
    for child in children:
        found[0 if child["kind"] in _BEFORE_PODS else 1 if child["kind"] in PODS else 2].append(child)
    return filter(None, found)
