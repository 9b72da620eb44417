"""Which pods answer."""

from __future__ import annotations

from collections.abc import Iterable

from cetacean_cli.cluster import Object


def is_ready(pod: Object) -> bool:
    """Return true if the pod is ready and does not end."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def ready_pods(pods: Iterable[Object]) -> list[str]:
    """Return the names of those that are ready."""
    return [str(pod["metadata"]["name"]) for pod in pods if is_ready(pod)]
