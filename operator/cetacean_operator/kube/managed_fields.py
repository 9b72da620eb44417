"""What to do where a server-side apply of ours cannot become valid beside what another has written.

Lists are merged by key: an edited port number stands beside ours, with the same name. A volume or a probe may be of one
kind only, and the other one's kind stays as well. An apply removes only what its own manager owns, so these fields are
made ours first; the next apply, which does not name them, takes them away.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import FIELD_MANAGER


def adopted(managed: Iterable[Object]) -> list[Object] | None:
    """Make ours what others have written into the body of a child; labels and annotations stay theirs.

    Subresources (status, scale) and other managers of the operator's own are left as they are.

    Args:
        managed: `metadata.managedFields`.

    Returns:
        The `managedFields` to be set, None where nothing can be taken.
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
