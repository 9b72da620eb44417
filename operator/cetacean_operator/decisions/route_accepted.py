"""The condition RouteAccepted: the Gateways that the HTTPRoute names have taken it, as their controllers report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cetacean_operator.api.objects import mapping_of, mappings_of
from cetacean_operator.api.observed import Object
from cetacean_operator.api.route import GATEWAY_GROUP, ParentReference, Route, parent_key
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_registry.messages import one_line

_ACCEPTED, _RESOLVED_REFS = "Accepted", "ResolvedRefs"
_REASONS: Final[Mapping[str, str]] = {_ACCEPTED: "NotAccepted", _RESOLVED_REFS: "RefsNotResolved"}
"""The reason of RouteAccepted by the condition of the HTTPRoute that is False."""
_LONGEST = 1024


def judge_route(*, route: Route | None, live: Object | None, is_served: bool) -> ConditionState | None:
    """Return the condition RouteAccepted, None if no route is wanted.

    Only conditions about the HTTPRoute's present generation count.

    Args:
        route: `spec.serving.route`.
        live: the HTTPRoute.
        is_served: true if the cluster serves HTTPRoutes.
    """
    if route is None:
        return None
    if not is_served:
        message = f"the cluster does not serve httproutes.{GATEWAY_GROUP}/v1, so the model has no route"
        return ConditionState("False", "GatewayAPIMissing", message)
    if live is None:
        return ConditionState("Unknown", "NotReportedYet", "the HTTPRoute does not exist yet")
    found = [(parent, _reported(live, parent)) for parent in route.parent_refs]
    for kind, reason in _REASONS.items():
        refused = [
            f"{_label(parent)}: {condition.get('reason')}: {condition.get('message')}"
            for parent, conditions in found
            for condition in conditions
            if (condition.get("type"), condition.get("status")) == (kind, "False")
        ]
        if refused:
            return ConditionState("False", reason, one_line("; ".join(refused), longest=_LONGEST))
    waiting = [_label(parent) for parent, conditions in found if not _is_accepted(conditions)]
    if waiting:
        message = f"no controller has reported on this HTTPRoute for {', '.join(waiting)}"
        return ConditionState("Unknown", "NotReportedYet", message)
    return ConditionState("True", _ACCEPTED, f"accepted by {', '.join(_label(parent) for parent, _ in found)}")


def _reported(live: Object, parent: ParentReference) -> list[Mapping[str, Any]]:
    """Return the conditions that controllers report for one parent, about the present generation."""
    meta = live["metadata"]
    wanted = parent_key(parent.wire(), meta.get("namespace"))
    return [
        condition
        for entry in mappings_of(mapping_of(live.get("status")).get("parents"))
        if parent_key(mapping_of(entry.get("parentRef")), meta.get("namespace")) == wanted
        for condition in mappings_of(entry.get("conditions"))
        if condition.get("observedGeneration") == meta.get("generation")
    ]


def _is_accepted(conditions: list[Mapping[str, Any]]) -> bool:
    return any((one.get("type"), one.get("status")) == (_ACCEPTED, "True") for one in conditions)


def _label(parent: ParentReference) -> str:
    """Return kind, name and listener of a parent: `Gateway gateways/public, listener https`."""
    namespace = f"{parent.namespace}/" if parent.namespace else ""
    listener = f", listener {parent.section_name}" if parent.section_name else ""
    port = f", port {parent.port}" if parent.port else ""
    return f"{parent.kind or 'Gateway'} {namespace}{parent.name}{listener}{port}"
