"""The rules by which kstatus (sigs.k8s.io/cli-utils), and so Helm and Flux, judge a custom resource."""

from __future__ import annotations

from typing import Any


def kstatus(obj: dict[str, Any]) -> str:
    """Return `Current`, `InProgress` or `Failed`."""
    status = obj.get("status", {})
    if status.get("observedGeneration") not in (None, obj["metadata"]["generation"]):
        return "InProgress"
    conditions = {item["type"]: item["status"] for item in status.get("conditions", ())}
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Ready", "True") != "True":
        return "InProgress"
    return "Current"
