"""On a real API server another model or threshold replaces the pods, and no other change does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.live_operator import UNSCHEDULABLE, OperatorProcess, model, wait_until_observed

from cetacean_tools.demo.kubectl import Kubectl


@pytest.fixture(scope="module")
def there(namespaced_operator: OperatorProcess, namespaced: Kubectl) -> Kubectl:
    """A namespace with a resource, and an operator that serves only this namespace."""
    assert namespaced_operator
    namespaced.apply(model("whales", serving=UNSCHEDULABLE))
    wait_until_observed(namespaced, "whales")
    return namespaced


def rolled_out(kubectl: Kubectl) -> tuple[dict[str, Any], set[str]]:
    """Return the pod template, and the hashes of all ReplicaSets."""
    template: dict[str, Any] = kubectl.get("deployment", "whales")["spec"]["template"]
    sets = kubectl.get("replicasets", "-l", "ecomarineai.org/cetaceanmodel=whales")["items"]
    return template, {item["metadata"]["labels"]["pod-template-hash"] for item in sets}


def changed(kubectl: Kubectl, patch: dict[str, Any]) -> None:
    before = kubectl.get("cetaceanmodel", "whales")["metadata"]["generation"]
    kubectl("patch", "cetaceanmodel", "whales", "--type=merge", "-p", json.dumps(patch))
    assert wait_until_observed(kubectl, "whales")["metadata"]["generation"] == before + 1
    kubectl("rollout", "status", "deployment/whales", "--watch=false")  # the controller has observed it


MORE = model("whales")["spec"]["registry"]["models"]
CHANGES: dict[str, dict[str, Any]] = {
    "drift-and-labels": {
        "metadata": {"labels": {"team": "sea"}, "annotations": {"note": "x"}},
        "spec": {"drift": {"window": 200, "alarmDrop": 0.3, "onAlarm": "Rollback"}},
    },
    "gates": {"spec": {"gates": {"minTPR": 0.5, "maxRegression": 0.5}}},
    "replicas": {"spec": {"serving": {"replicas": 2}}},
    "budget": {"spec": {"serving": {"podDisruptionBudget": {"enabled": False}, "networkPolicy": {"enabled": True}}}},
    "route": {"spec": {"serving": {"route": {"parentRefs": [{"name": "public"}]}}}},
    "service": {"spec": {"serving": {"service": {"type": "NodePort", "annotations": {"a": "b"}}}}},
    "deadline": {"spec": {"serving": {"progressDeadlineSeconds": 700}}},
    "autoscaling": {"spec": {"serving": {"autoscaling": {"maxReplicas": 3}}}},
    "autoscaling-off": {"spec": {"serving": {"autoscaling": None}}},
    "an-entry-more": {
        "spec": {"registry": {"models": [*MORE, {**MORE[1], "name": "third", "version": "2.0.0"}]}},
    },
    "stages": {"spec": {"rollout": {"stages": [{"shadow": {}}], "candidate": {"resources": {"limits": {"cpu": 1}}}}}},
    "baseline": {
        "spec": {
            "registry": {
                "models": [{**MORE[0], "metrics": {**MORE[0]["metrics"], "cetaceanScoreMean": 0.8}}, *MORE[1:]]
            }
        }
    },
}


@pytest.mark.parametrize("patch", CHANGES.values(), ids=CHANGES)
def test_a_change_of_other_fields_keeps_the_pods(there: Kubectl, patch: dict[str, Any]) -> None:
    before = rolled_out(there)
    changed(there, patch)
    assert rolled_out(there) == before


@pytest.mark.parametrize(
    ("patch", "variable", "value"),
    [
        ({"spec": {"registry": {"active": "second"}}}, "CETACEAN_MODEL__NAME", "second"),
        ({"spec": {"antiFraud": {"threshold": 0.4}}}, "CETACEAN_GATE__THRESHOLD", "0.4"),
    ],
    ids=["active", "threshold"],
)
def test_another_model_or_threshold_replaces_the_pods(
    there: Kubectl, patch: dict[str, Any], variable: str, value: str
) -> None:
    template, hashes = rolled_out(there)
    digests = template["metadata"]["annotations"]
    changed(there, patch)
    after, more = rolled_out(there)
    assert after["metadata"]["annotations"]["ecomarineai.org/rollout-id"] != digests["ecomarineai.org/rollout-id"]
    for container in after["spec"]["containers"] + after["spec"]["initContainers"]:
        assert {item["name"]: item["value"] for item in container["env"]}[variable] == value
    assert len(more) == len(hashes) + 1


def test_a_former_template_uses_its_old_replica_set(there: Kubectl) -> None:
    before = rolled_out(there)
    changed(there, {"spec": {"antiFraud": {"threshold": 0.3}}})
    between = rolled_out(there)
    assert len(between[1]) == len(before[1]) + 1
    changed(there, {"spec": {"antiFraud": {"threshold": 0.4}}})
    assert rolled_out(there) == (before[0], between[1])
