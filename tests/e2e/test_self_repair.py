"""The operator repairs changes that people make to a model's children."""

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


def test_the_pods_have_the_settings_of_the_restricted_standard(stage: Stage) -> None:
    (pod,) = stage.pods(NAME)
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"].get("automountServiceAccountToken") is False


def test_a_deleted_service_is_created_again(stage: Stage) -> None:
    uid = stage.kubectl.get("service", NAME)["metadata"]["uid"]
    stage.kubectl("delete", "service", NAME, "--wait=true")
    found = until(
        "the Service to be created again",
        lambda: stage.kubectl.get("services", "--field-selector", f"metadata.name={NAME}")["items"],
    )
    assert found[0]["metadata"]["uid"] != uid


def test_an_edited_image_of_the_deployment_is_restored(stage: Stage) -> None:
    image = _deployment(stage)["spec"]["template"]["spec"]["containers"][0]["image"]
    stage.kubectl("set", "image", f"deployment/{NAME}", "serve=localhost/other:1")
    until(
        "the image to be restored",
        lambda: _deployment(stage)["spec"]["template"]["spec"]["containers"][0]["image"] == image,
    )


def test_a_rollout_restart_replaces_the_pods_and_stays(stage: Stage) -> None:
    before = {pod["metadata"]["uid"] for pod in stage.pods(NAME)}
    stage.kubectl("rollout", "restart", f"deployment/{NAME}")
    stage.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s", timeout=200)
    stage.wait_for_condition(NAME, "Ready", "True")
    until("the old pods to be gone", lambda: not before & {pod["metadata"]["uid"] for pod in stage.pods(NAME)})
    annotations = _deployment(stage)["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


def test_a_resource_has_no_finalizer_and_its_children_are_deleted_with_it(stage: Stage) -> None:
    assert "finalizers" not in stage.resource(NAME)["metadata"]
    stage.kubectl("delete", "cetaceanmodel", NAME, "--wait=true")
    until(
        "the children to be deleted",
        lambda: not stage.kubectl.get("deployments,services", "--field-selector", f"metadata.name={NAME}")["items"],
    )
