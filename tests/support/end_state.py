"""What a resource has come to, without names and times: two that went through the same must be equal."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import NotSoError, until

_CHILDREN = "deployments,replicasets,services,configmaps,poddisruptionbudgets"
# Of what the API server and its controllers choose, or what hangs on the resource's uid.
_CHANCE = frozenset(
    {"clusterIP", "clusterIPs", "pod-template-hash", "ecomarineai.org/applied-digest", "ownerReferences"}
)
_PROMOTION = "ecomarineai.org/promotion"


def end_state(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Read status, children, and how many ReplicaSets it took."""
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


def ends_as(kubectl: Kubectl, name: str, expected: dict[str, Any], *, within: float = 60.0) -> None:
    """Wait for that end state, and for no event told twice.

    Raises:
        AssertionError: it did not come to it; shows where the two differ.
    """
    with suppress(NotSoError):
        until(f"{name} to be as without faults", lambda: end_state(kubectl, name) == expected, within=within)
    assert end_state(kubectl, name) == expected
    told = Counter((event["reason"], event["message"]) for event in events(kubectl, name))
    assert {what: times for what, times in told.items() if times > 1} == {}


def events(kubectl: Kubectl, name: str) -> list[dict[str, Any]]:
    """What was told about a resource."""
    found: list[dict[str, Any]] = kubectl.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [event for event in found if event["involvedObject"]["kind"] == "CetaceanModel"]


def _lasting(child: dict[str, Any]) -> dict[str, Any]:
    meta = {key: child["metadata"].get(key) for key in ("name", "labels", "annotations")}
    if told := (meta["annotations"] or {}).get(_PROMOTION):
        # When it was, and how much was not told of yet, hangs on when an operator ended.
        newest = json.loads(told)["promotions"][0]
        meta["annotations"] = meta["annotations"] | {_PROMOTION: [newest["model"], newest["reason"]]}
    kept = {"kind": child["kind"], "metadata": meta, "spec": child.get("spec"), "data": child.get("data")}
    lasting: dict[str, Any] = _without_chance(kept)
    return lasting


def _without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_chance(item) for key, item in value.items() if key not in _CHANCE}
    return [_without_chance(item) for item in value] if isinstance(value, list) else value
