"""Reading Kubernetes objects as they come from the API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def find_condition(obj: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any]:
    """Return the condition of that type in an object's status; empty if there is none."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def annotations_of(obj: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Return an object's annotations; empty if there are none."""
    return ((obj or {}).get("metadata") or {}).get("annotations") or {}


def is_status_current(obj: Mapping[str, Any]) -> bool:
    """Return whether the object's controller has seen its newest spec; if not, the status is about an earlier one."""
    observed = int((obj.get("status") or {}).get("observedGeneration") or 0)
    return observed >= int(obj["metadata"].get("generation") or 0)


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return a mapping, empty for anything else: a resource that is no object has an invalid spec, and is no error."""
    return value if isinstance(value, Mapping) else {}


def mappings_of(value: object) -> list[Mapping[str, Any]]:
    """Return the mappings of a list, and nothing of any other value."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
