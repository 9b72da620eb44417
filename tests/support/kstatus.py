"""What kstatus (sigs.k8s.io/cli-utils) computes, and so Helm and Flux: its rules for a custom resource."""

from __future__ import annotations

from typing import Any


def kstatus(obj: dict[str, Any]) -> str:
    """`Current`, `InProgress` or `Failed`."""
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
