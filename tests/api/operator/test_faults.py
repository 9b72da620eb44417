"""The API server is killed during a change, and the change is complete in the end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.accounts import Account
from support.end_state import events
from support.live_operator import OperatorProcess, model, running, wait_for_ready_reason, wait_until_observed

from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.local import LocalCluster

pytestmark = pytest.mark.alone  # all tests share the API server


@pytest.fixture
def operator(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[OperatorProcess]:
    """An operator that is expected to survive the API server."""
    assert namespaced
    with running(namespaced_account, folder, outage=True) as process:
        yield process


def answers(kubectl: Kubectl) -> bool:
    try:
        kubectl("get", "--raw", "/readyz")
    except CommandError:
        return False
    return True


def test_a_change_is_completed_after_the_api_server_was_killed(
    operator: OperatorProcess, namespaced: Kubectl, local_cluster: LocalCluster
) -> None:
    several = [f"whales-{number}" for number in range(4)]
    for name in several:
        namespaced.apply(model(name))
    for name in several:
        wait_until_observed(namespaced, name)
    for name in several:
        namespaced.apply(model(name, active="second"))
    namespaced("delete", "service", several[0], "--wait=false")
    local_cluster.signal_component("kube-apiserver", signal.SIGKILL)
    until("the API server to be back", lambda: answers(namespaced), within=60)
    for name in several:
        resource = wait_for_ready_reason(namespaced, name, "ScaledToZero", within=60)
        assert resource["status"]["rollout"]["model"] == "second"
        assert [entry["model"] for entry in resource["status"]["history"]] == ["second", "first"]
        template = namespaced.get("deployment", name)["spec"]["template"]
        assert template["metadata"]["annotations"]["ecomarineai.org/model"] == "second"
        reasons = {event["reason"] for event in events(namespaced, name)}
        assert "ApplyRefused" not in reasons, "a starting API server forbids everything for a moment"
        until(f"the Service of {name}", partial(has_one, namespaced, "services", name), within=60)
    assert operator.process.poll() is None
    until("the operator to be ready", operator.ready, within=30)
    # The watches work again: a change is seen long before the next resync.
    namespaced("delete", "configmap", f"{several[0]}-monitoring")
    until("the ConfigMap to be back", partial(has_one, namespaced, "configmaps", several[0]), within=30)


def has_one(kubectl: Kubectl, kind: str, name: str) -> bool:
    return len(kubectl.get(kind, "-l", f"ecomarineai.org/cetaceanmodel={name}")["items"]) == 1
