"""One tenant's object that clients cannot parse hides no other tenant's, and has a name in log, metric and Event."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.accounts import Account
from support.live_operator import OperatorProcess, model, running, wait_for_ready_reason, wait_until_observed

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

pytestmark = pytest.mark.alone  # the operator serves every namespace
LEVELS = 400
"""More than this process's parser takes, and fewer than kubectl's."""


@pytest.fixture(scope="module")
def other_tenant(kubectl: Kubectl) -> Iterator[Kubectl]:
    """The namespace with the unreadable object."""
    name = f"test-unreadable-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield replace(kubectl, namespace=name)
    kubectl("delete", "namespace", name, "--wait=false")


def deep(name: str) -> dict[str, Any]:
    """A CetaceanModel whose affinity is nested deeper than the operator's parser goes."""
    inner: Any = "x"
    for _ in range(LEVELS):
        inner = {"a": inner}
    return model(name, serving={"affinity": {"nodeAffinity": inner}})


def promoted(kubectl: Kubectl, active: str) -> dict[str, Any]:
    """Change the active model, and wait for at most ten seconds until the operator has acted on it."""
    kubectl.apply(model("whales", active=active))
    found = wait_for_ready_reason(kubectl, "whales", "ScaledToZero", within=10)
    assert found["status"]["active"]["name"] == active
    return found


def unreadable(operator: OperatorProcess) -> float:
    counted = operator.samples("cetacean_operator_unreadable_objects_total")
    return sum(value for labels, value in counted if labels["resource"] == "cetaceanmodels")


def named(operator: OperatorProcess, tenant: Kubectl) -> bool:
    text = f"CetaceanModel {tenant.namespace}/deep cannot be read"
    return any(text in record["message"] for record in operator.records())


def test_a_promotion_goes_through_beside_an_unreadable_object(
    cluster_account: Account, namespaced: Kubectl, other_tenant: Kubectl, folder: Path
) -> None:
    operator = OperatorProcess(cluster_account, folder, "before", {})
    try:
        operator.wait_until_ready()
        namespaced.apply(model("whales"))
        wait_until_observed(namespaced, "whales")
        other_tenant.apply(deep("deep"))
        until("the object to be reported", lambda: named(operator, other_tenant), within=10)
        promoted(namespaced, "second")
        assert unreadable(operator) >= 1
        events = until("the Event", lambda: _events(other_tenant), within=10)
        assert "cannot be read" in events[0]["note"]
        assert operator.probe("readyz") == (200, "ok")
    finally:
        operator.process.terminate()
        assert operator.process.wait(timeout=30) == 0
    # A new process meets the object in its first list.
    again = OperatorProcess(cluster_account, folder, "after", {})
    try:
        again.wait_until_ready()
        promoted(namespaced, "first")
        assert named(again, other_tenant)
        other_tenant.apply(model("deep"))
        wait_until_observed(other_tenant, "deep", within=10)
    finally:
        again.process.terminate()
        assert again.process.wait(timeout=30) == 0
        namespaced("delete", "cetaceanmodels", "--all", "--wait=true")
        other_tenant("delete", "cetaceanmodels", "--all", "--wait=true")


def test_a_spec_that_is_nested_too_deep_to_become_a_child_is_invalid(
    cluster_account: Account, namespaced: Kubectl, folder: Path
) -> None:
    inner: Any = "x"
    for _ in range(150):
        inner = {"a": inner}
    with running(cluster_account, folder, identity="bounded"):
        namespaced.apply(model("bounded", serving={"affinity": {"nodeAffinity": inner}}))
        found = wait_for_ready_reason(namespaced, "bounded", "InvalidSpec", within=10)
        assert "levels of nesting" in json.dumps(found["status"]["conditions"])
        namespaced("delete", "cetaceanmodels", "--all", "--wait=true")


def _events(kubectl: Kubectl) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = kubectl.get("events.events.k8s.io")["items"]
    return [item for item in items if item["reason"] == "UnreadableObject"]
