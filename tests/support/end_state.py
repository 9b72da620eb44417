"""The end state of a resource without names and times: two resources with the same history must have equal ones."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import NotSoError, until

_CHILDREN = "deployments,replicasets,services,configmaps,poddisruptionbudgets"
# Values that the API server and its controllers choose, or that depend on the resource's uid.
_VARYING = frozenset(
    {"clusterIP", "clusterIPs", "pod-template-hash", "ecomarineai.org/applied-digest", "ownerReferences"}
)
_PROMOTION = "ecomarineai.org/promotion"


def end_state(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Return status, children, and the number of ReplicaSets."""
    status = kubectl.get("cetaceanmodel", name)["status"]
    children = kubectl.get(_CHILDREN, "-l", f"ecomarineai.org/cetaceanmodel={name}")["items"]
    found = {
        "conditions": [
            {key: value for key, value in condition.items() if key != "lastTransitionTime"}
            for condition in status["conditions"]
        ],
        "history": [(item["model"], item["reason"]) for item in status["history"]],
        "rest": {key: status.get(key) for key in ("observedGeneration", "active", "serving", "rollout", "replicas")},
        "children": sorted(
            json.dumps(_lasting(child), sort_keys=True) for child in children if child["kind"] != "ReplicaSet"
        ),
        "revisions": sum(child["kind"] == "ReplicaSet" for child in children),
    }
    anonymous: dict[str, Any] = json.loads(json.dumps(found).replace(name, "NAME"))
    return anonymous


def assert_end_state(kubectl: Kubectl, name: str, expected: dict[str, Any], *, within: float = 60.0) -> None:
    """Wait until a resource has that end state, and assert that no Event was recorded twice.

    Raises:
        AssertionError: the end state is another one; the message shows the difference.
    """
    with suppress(NotSoError):
        until(
            f"{name} to have the end state of a run without faults",
            lambda: end_state(kubectl, name) == expected,
            within=within,
        )
    assert end_state(kubectl, name) == expected
    recorded = Counter((event["reason"], event["message"]) for event in events(kubectl, name))
    assert {event: times for event, times in recorded.items() if times > 1} == {}


def events(kubectl: Kubectl, name: str) -> list[dict[str, Any]]:
    """Return the Events about a CetaceanModel."""
    found: list[dict[str, Any]] = kubectl.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [event for event in found if event["involvedObject"]["kind"] == "CetaceanModel"]


def _lasting(child: dict[str, Any]) -> dict[str, Any]:
    meta = {key: child["metadata"].get(key) for key in ("name", "labels", "annotations")}
    if record := (meta["annotations"] or {}).get(_PROMOTION):
        # Its time and its older entries depend on when an operator ended.
        newest = json.loads(record)["promotions"][0]
        meta["annotations"] = meta["annotations"] | {_PROMOTION: [newest["model"], newest["reason"]]}
    kept = {"kind": child["kind"], "metadata": meta, "spec": child.get("spec"), "data": child.get("data")}
    lasting: dict[str, Any] = _without_varying(kept)
    return lasting


def _without_varying(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_varying(item) for key, item in value.items() if key not in _VARYING}
    return [_without_varying(item) for item in value] if isinstance(value, list) else value
