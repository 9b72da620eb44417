"""The order in which children are applied, and the kinds that pods can do without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cetacean_operator.api.observed import Object

NON_BLOCKING_KINDS: Final = frozenset(
    {"NetworkPolicy", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor", "HTTPRoute", "Job"}
)
"""Pods serve without them: if one cannot be applied, a rollback is possible all the same."""
WORKLOAD_KINDS: Final = frozenset({"Deployment"})
"""Kinds that create pods."""
_BEFORE_WORKLOADS = frozenset({"ConfigMap", "NetworkPolicy"})


def apply_order(children: Iterable[Object]) -> Iterator[list[Object]]:
    """Yield groups of children, in order: what pods need, then workloads, then what selects or counts their pods.

    The API server allocates the addresses of Services one after the other for the whole cluster: no pod waits for one.
    """
    groups: tuple[list[Object], ...] = ([], [], [])
    for child in children:
        kind = child["kind"]
        groups[0 if kind in _BEFORE_WORKLOADS else 1 if kind in WORKLOAD_KINDS else 2].append(child)
    return filter(None, groups)
