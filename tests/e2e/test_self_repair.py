"""Changes by hand to a model's children, and the operator's reaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.waiting import until

NAME = "repaired"


@pytest.fixture(scope="module", autouse=True)
def serving(environment: Environment) -> Iterator[None]:
    environment.kubectl.apply(environment.manifest(NAME, active="demo_v1", replicas=1))
    environment.wait_for_condition(NAME, "Ready", "True")
    yield
    environment.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")


def _deployment(environment: Environment) -> dict[str, Any]:
    return environment.kubectl.get("deployment", NAME)


def test_the_pods_satisfy_the_restricted_standard(environment: Environment) -> None:
    (pod,) = environment.pods(NAME)
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"].get("automountServiceAccountToken") is False


def test_a_deleted_service_is_created_again(environment: Environment) -> None:
    uid = environment.kubectl.get("service", NAME)["metadata"]["uid"]
    environment.kubectl("delete", "service", NAME, "--wait=true")
    found = until(
        "the Service to be there again",
        lambda: environment.kubectl.get("services", "--field-selector", f"metadata.name={NAME}")["items"],
    )
    assert found[0]["metadata"]["uid"] != uid


def test_an_edit_of_a_deployment_is_reverted(environment: Environment) -> None:
    image = _deployment(environment)["spec"]["template"]["spec"]["containers"][0]["image"]
    environment.kubectl("set", "image", f"deployment/{NAME}", "serve=localhost/other:1")
    until(
        "the image to be set right",
        lambda: _deployment(environment)["spec"]["template"]["spec"]["containers"][0]["image"] == image,
    )


def test_a_restart_by_hand_replaces_the_pods_and_is_not_undone(environment: Environment) -> None:
    before = {pod["metadata"]["uid"] for pod in environment.pods(NAME)}
    environment.kubectl("rollout", "restart", f"deployment/{NAME}")
    environment.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s", timeout=200)
    environment.wait_for_condition(NAME, "Ready", "True")
    until("the old pods to be gone", lambda: not before & {pod["metadata"]["uid"] for pod in environment.pods(NAME)})
    annotations = _deployment(environment)["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


def test_nothing_has_a_finalizer_and_deletion_removes_all(environment: Environment) -> None:
    name = "deleted"

    def children() -> list[Any]:
        found: list[Any] = environment.kubectl.get("deployments,services", "--field-selector", f"metadata.name={name}")[
            "items"
        ]
        return found

    environment.kubectl.apply(environment.manifest(name, active="demo_v1", replicas=0))
    environment.wait_for_condition(name, "Ready", "True")
    assert {child["kind"] for child in children()} == {"Deployment", "Service"}
    assert not any("finalizers" in one["metadata"] for one in (environment.resource(name), *children()))
    environment.kubectl("delete", "cetaceanmodel", name, "--wait=true")
    until("the children to be gone", lambda: not children())
