"""Take over fields of other managers if a server-side apply would otherwise be invalid.

Lists are merged by key: a port number that somebody edited stands beside the operator's, with the same name. A volume
or a probe may have one type only, and the type that somebody added stays as well. An apply removes only fields that its
own manager owns. So the operator becomes the manager of these fields first; the next apply, which does not contain
them, removes them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import FIELD_MANAGER


def adopted(managed: Iterable[Object]) -> list[Object] | None:
    """Return managed fields in which the operator owns what others wrote; labels and annotations stay theirs.

    Subresources (status, scale) and the operator's other managers are left as they are.

    Args:
        managed: `metadata.managedFields`.

    Returns:
        The `managedFields` to set, None if there is nothing to take over.
    """
    entries = list(managed)
    ours = next((entry for entry in entries if _is_ours(entry)), None)
    if ours is None:
        return None
    fields = copy.deepcopy(ours["fieldsV1"])
    kept = []
    for entry in entries:
        if entry is ours:
            continue
        if entry.get("subresource") or entry["manager"].startswith(FIELD_MANAGER):
            kept.append(entry)
            continue
        theirs = entry["fieldsV1"]
        _merge(fields, {key: value for key, value in theirs.items() if key != "f:metadata"})
        if "f:metadata" in theirs:
            kept.append({**entry, "fieldsV1": {"f:metadata": theirs["f:metadata"]}})
    return None if fields == ours["fieldsV1"] else [{**ours, "fieldsV1": fields}, *kept]


def _is_ours(entry: Object) -> bool:
    return (entry["manager"], entry["operation"], entry.get("subresource")) == (FIELD_MANAGER, "Apply", None)


def _merge(into: dict[str, Any], fields: dict[str, Any]) -> None:
    for key, value in fields.items():
        _merge(into.setdefault(key, {}), value)
