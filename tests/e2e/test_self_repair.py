"""What people do to a model's children by hand, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from demo.stage import Stage
from demo.waiting import until

NAME = "repaired"


@pytest.fixture(scope="module", autouse=True)
def serving(stage: Stage) -> None:
    stage.kubectl.apply(stage.manifest(NAME, active="demo_v1", replicas=1))
    stage.wait_for_condition(NAME, "Ready", "True")


def _deployment(stage: Stage) -> dict[str, Any]:
    return stage.kubectl.get("deployment", NAME)


def test_the_pods_satisfy_the_restricted_standard(stage: Stage) -> None:
    (pod,) = stage.pods(NAME)
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"].get("automountServiceAccountToken") is False


def test_a_deleted_service_comes_back(stage: Stage) -> None:
    uid = stage.kubectl.get("service", NAME)["metadata"]["uid"]
    stage.kubectl("delete", "service", NAME, "--wait=true")
    found = until(
        "the Service to be there again",
        lambda: stage.kubectl.get("services", "--field-selector", f"metadata.name={NAME}")["items"],
    )
    assert found[0]["metadata"]["uid"] != uid


def test_an_edited_deployment_is_set_right(stage: Stage) -> None:
    image = _deployment(stage)["spec"]["template"]["spec"]["containers"][0]["image"]
    stage.kubectl("set", "image", f"deployment/{NAME}", "serve=localhost/other:1")
    until(
        "the image to be set right",
        lambda: _deployment(stage)["spec"]["template"]["spec"]["containers"][0]["image"] == image,
    )


def test_a_restart_by_hand_replaces_the_pods_and_is_not_undone(stage: Stage) -> None:
    before = {pod["metadata"]["uid"] for pod in stage.pods(NAME)}
    stage.kubectl("rollout", "restart", f"deployment/{NAME}")
    stage.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s", timeout=200)
    stage.wait_for_condition(NAME, "Ready", "True")
    until("the old pods to be gone", lambda: not before & {pod["metadata"]["uid"] for pod in stage.pods(NAME)})
    annotations = _deployment(stage)["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


def test_nothing_has_a_finalizer_and_deletion_removes_all(stage: Stage) -> None:
    assert "finalizers" not in stage.resource(NAME)["metadata"]
    stage.kubectl("delete", "cetaceanmodel", NAME, "--wait=true")
    until(
        "the children to be gone",
        lambda: not stage.kubectl.get("deployments,services", "--field-selector", f"metadata.name={NAME}")["items"],
    )
