"""Errors of the API server, the scheduler and the kubelet reach the conditions; a bad resource delays no other."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from support.live_operator import (
    REPOSITORY,
    UNSCHEDULABLE,
    OperatorProcess,
    condition,
    model,
    wait_for_ready_reason,
    wait_until_observed,
)

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-nets"},
    "spec": {"hard": {"requests.example.org/nets": "0"}},
}
NET = {"example.org/nets": "1"}
pytestmark = pytest.mark.alone  # it replaces the CRD by a lax one for a moment
CASES: dict[str, tuple[dict[str, Any], str, str, bool]] = {
    "image": ({}, "ImagePull", 'container fetch: failed to pull and unpack image "127.0.0.1:1/absent:1"', True),
    "nowhere": (dict(UNSCHEDULABLE), "Unschedulable", "node(s) didn't match Pod's node affinity/selector", False),
    "quota": ({"resources": {"requests": NET, "limits": NET}}, "QuotaExceeded", "exceeded quota: no-nets", True),
    "account": ({"serviceAccountName": "nobody"}, "PodsForbidden", 'serviceaccount "nobody" not found', True),
    "invalid": ({"priorityClassName": "_"}, "ApplyRefused", "a lowercase RFC 1123 subdomain", True),
}
"""`spec.serving`, the reason, a part of the message, and true if a person must act."""


@pytest.fixture(scope="module")
def there(namespaced_operator: OperatorProcess, namespaced: Kubectl) -> Kubectl:
    """A namespace with a resource for each failure."""
    assert namespaced_operator
    namespaced.apply(QUOTA)
    until("the quota to count", lambda: namespaced.get("resourcequota", "no-nets").get("status", {}).get("hard"))
    manifests = [model(name, serving={"replicas": 1, **serving}) for name, (serving, *_) in CASES.items()]
    namespaced("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    return namespaced


@pytest.mark.parametrize("name", CASES)
def test_each_failure_has_its_reason_in_the_conditions(there: Kubectl, name: str) -> None:
    _, reason, message, final = CASES[name]
    seen = wait_for_ready_reason(there, name, reason)
    assert message in condition(seen, "Ready")["message"]
    statuses = {kind: condition(seen, kind)["status"] for kind in ("Ready", "Stalled", "Reconciling", "Available")}
    assert statuses == {
        "Ready": "False",
        "Stalled": str(final),
        "Reconciling": str(not final),
        "Available": "False",
    }


@pytest.fixture
def unreadable(there: Kubectl, crd: str) -> Iterator[str]:
    """A resource that violates the schema, as one that was created under an earlier CRD may."""
    strict = yaml.safe_load((REPOSITORY / "crds/ecomarineai.org_cetaceanmodels.yaml").read_text())
    lax = copy.deepcopy(strict)
    (version,) = lax["spec"]["versions"]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version["schema"]["openAPIV3Schema"] = {"type": "object", "properties": {"spec": anything, "status": anything}}
    version["subresources"].pop("scale")
    broken = model("unreadable")
    broken["spec"]["registry"]["active"] = "nothing"

    def apply(definition: dict[str, Any]) -> None:
        there("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(definition))

    def taken() -> bool:
        try:
            there("create", "--validate=false", "-f", "-", stdin=json.dumps(broken))
        except Exception as error:  # noqa: BLE001 -- any error is possible until the new schema is in force
            print(error)
            return False
        return True

    apply(lax)
    try:
        until(f"{crd} to accept any resource", taken, within=30)
    finally:
        apply(strict)
    until("the schema to be enforced again", lambda: _refuses(there, broken), within=30)
    yield "unreadable"
    there("delete", "cetaceanmodel", "unreadable")


def _refuses(kubectl: Kubectl, broken: dict[str, Any]) -> bool:
    other = {**broken, "metadata": {"name": "other"}}
    try:
        kubectl("create", "--dry-run=server", "--validate=false", "-f", "-", stdin=json.dumps(other))
    except Exception as error:  # noqa: BLE001 -- see above
        return "names none of spec.registry.models" in str(error)
    return False


def test_an_invalid_resource_is_reported_and_delays_no_other(there: Kubectl, unreadable: str) -> None:
    there.apply(model("healthy"))
    wait_for_ready_reason(there, "healthy", "ScaledToZero", within=20)
    stalled = condition(wait_until_observed(there, unreadable), "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "nothing" in stalled["message"]


def test_a_refused_resource_recovers_with_its_next_spec(there: Kubectl) -> None:
    there.apply(model("invalid", serving={"priorityClassName": None}))
    wait_for_ready_reason(there, "invalid", "ScaledToZero")
