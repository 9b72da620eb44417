"""`kubectl rollout` and `kubectl scale` by hand: the operator restores the resource's state, and a restart stays."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from support.live_operator import UNSCHEDULABLE, OperatorProcess, model, wait_until_observed

from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.waiting import until

SERVING: dict[str, Any] = {**UNSCHEDULABLE, "replicas": 2}
RESTARTED = "kubectl.kubernetes.io/restartedAt"


@pytest.fixture(scope="module")
def there(namespaced_operator: OperatorProcess, namespaced: Kubectl) -> Kubectl:
    """A namespace with a resource that has been promoted once."""
    assert namespaced_operator
    for active in ("first", "second"):
        namespaced.apply(model("whales", active=active, serving=SERVING))
        wait_until_observed(namespaced, "whales")
        until("the controller to have observed the generation", lambda: is_observed(namespaced), within=20)
    return namespaced


def deployment(kubectl: Kubectl) -> dict[str, Any]:
    return kubectl.get("deployment", "whales")


def is_observed(kubectl: Kubectl) -> bool:
    """Return true if the Deployment's controller has observed the present generation."""
    found = deployment(kubectl)
    return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])


def deployed(kubectl: Kubectl) -> str:
    found: str = deployment(kubectl)["spec"]["template"]["metadata"]["annotations"]["ecomarineai.org/model"]
    return found


def test_rollout_history_names_the_model_of_each_revision(there: Kubectl) -> None:
    lines = there("rollout", "history", "deployment/whales").splitlines()
    revisions = {line.split()[0]: line.partition(" ")[2].strip() for line in lines if line[:1].isdigit()}
    assert revisions == {
        "1": "first 1.0.0 (sha256:aaaaaaaaaaaa), threshold 0.52",
        "2": "second 1.1.0 (sha256:bbbbbbbbbbbb), threshold 0.52",
    }
    assert "second 1.1.0" in there("rollout", "history", "deployment/whales", "--revision=2")


def test_the_operator_reverts_a_rollout_undo(there: Kubectl) -> None:
    said = there("rollout", "undo", "deployment/whales")
    assert "rolled back" in said
    until("the active model to be back", lambda: deployed(there) == "second", within=20)
    assert deployment(there)["metadata"]["annotations"]["kubernetes.io/change-cause"].startswith("second 1.1.0")
    assert [item["model"] for item in there.get("cetaceanmodel", "whales")["status"]["history"]] == ["second", "first"]


def test_the_operator_reverts_a_rollout_pause(there: Kubectl) -> None:
    there("rollout", "pause", "deployment/whales")
    until("the rollout to go on", lambda: not deployment(there)["spec"].get("paused"), within=20)
    there.apply(model("whales", active="first", serving=SERVING))
    wait_until_observed(there, "whales")
    assert deployed(there) == "first"
    until("the controller to have observed the generation", lambda: is_observed(there), within=20)


def test_a_rollout_resume_changes_nothing(there: Kubectl) -> None:
    before = deployment(there)["spec"]
    there("rollout", "pause", "deployment/whales")
    with suppress(CommandError):  # the operator may have been faster: "is not paused"
        there("rollout", "resume", "deployment/whales")
    until("the rollout to go on", lambda: not deployment(there)["spec"].get("paused"), within=20)
    assert deployment(there)["spec"] == before


def test_a_rollout_restart_stays(there: Kubectl) -> None:
    there("rollout", "restart", "deployment/whales")
    at = deployment(there)["spec"]["template"]["metadata"]["annotations"][RESTARTED]
    # The operator's next writes must not undo it.
    there("delete", "service", "whales", "--wait=false")
    until("the Service to be back", lambda: there.get("services", "-l", "app.kubernetes.io/name")["items"], within=20)
    there("patch", "cetaceanmodel", "whales", "--type=merge", "-p", json.dumps({"spec": {"serving": {"replicas": 3}}}))
    wait_until_observed(there, "whales")
    until("the replicas", lambda: deployment(there)["spec"]["replicas"] == 3, within=20)
    assert deployment(there)["spec"]["template"]["metadata"]["annotations"][RESTARTED] == at
    assert deployed(there) == "first"


def test_scaling_the_deployment_is_reverted_and_scaling_the_resource_stays(there: Kubectl) -> None:
    wanted = there.get("cetaceanmodel", "whales")["spec"]["serving"]["replicas"]
    there("scale", "deployment/whales", f"--replicas={wanted + 4}")
    until("the replicas to be set right", lambda: deployment(there)["spec"]["replicas"] == wanted, within=20)
    there("scale", "cetaceanmodel/whales", f"--replicas={wanted + 1}")
    until("the replicas to follow", lambda: deployment(there)["spec"]["replicas"] == wanted + 1, within=20)
    assert there.get("cetaceanmodel", "whales")["spec"]["serving"]["replicas"] == wanted + 1


def test_with_an_autoscaler_the_operator_does_not_change_the_replicas(there: Kubectl) -> None:
    autoscaling = {"minReplicas": 2, "maxReplicas": 9}
    there.apply(model("whales", active="first", serving={**SERVING, "autoscaling": autoscaling}))
    wait_until_observed(there, "whales")
    there("scale", "deployment/whales", "--replicas=5")
    until("the controller to have observed the generation", lambda: is_observed(there), within=20)
    there("delete", "configmap", "whales-monitoring", "--wait=false")  # the operator has work to do
    until("the ConfigMap", lambda: there.get("configmaps", "-l", "app.kubernetes.io/name")["items"], within=20)
    assert deployment(there)["spec"]["replicas"] == 5, "only the autoscaler may change it"
