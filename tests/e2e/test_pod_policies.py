"""Clusters that change or refuse pods: OpenShift's ranges of user ids, and a container that is added to each pod.

Admission policies of the API server stand for OpenShift and for a mesh: one refuses pods whose user is not of the range,
another assigns the user, and adds a container before all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.kubectl import CommandError
from cetacean_tools.demo.waiting import until

NAME: Final = "any-user"
USER: Final = 1000680000
POLICIES: Final = "mutatingadmissionpolicies,validatingadmissionpolicies"
BINDINGS: Final = "mutatingadmissionpolicybindings,validatingadmissionpolicybindings"
_PODS = {
    "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    "objectSelector": {"matchLabels": {"app.kubernetes.io/instance": NAME}},
}
_OF_THE_RANGE = f"object.spec.securityContext.?{{field}}.orValue(0) in [{USER}]"
_ASSIGN = f"""
Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{{
  runAsUser: object.spec.securityContext.?runAsUser.orValue({USER}),
  fsGroup: object.spec.securityContext.?fsGroup.orValue({USER})
}}}}}}
"""
_INJECT = """
[JSONPatch{op: "add", path: "/spec/containers/0", value: Object.spec.containers{
  name: "mesh",
  image: object.spec.containers[0].image,
  command: ["python", "-c", "import threading; threading.Event().wait()"],
  ports: [Object.spec.containers.ports{name: "http", containerPort: 15006}],
  securityContext: Object.spec.containers.securityContext{
    allowPrivilegeEscalation: false,
    capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}
  }
}}]
"""


def policies(namespace: str) -> Iterator[dict[str, Any]]:
    """Yield both policies and their bindings, for the pods of one resource."""
    name = f"openshift-{namespace}"
    version = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    here = {"matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}}
    validation = {
        "expression": " && ".join(_OF_THE_RANGE.format(field=field) for field in ("runAsUser", "fsGroup"))
        + " && object.spec.securityContext.?runAsGroup.orValue(0) == 0",
        "message": f"unable to validate against any security context constraint: must be in the range {USER}",
    }
    mutations = [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _ASSIGN}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression": _INJECT}},
    ]
    validating, mutating = "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"
    yield {**version, "kind": validating, "spec": {"matchConstraints": _PODS, "validations": [validation]}}
    yield {
        **version,
        "kind": f"{validating}Binding",
        "spec": {"policyName": name, "validationActions": ["Deny"], **here},
    }
    spec = {"matchConstraints": _PODS, "mutations": mutations, "failurePolicy": "Fail", "reinvocationPolicy": "Never"}
    yield {**version, "kind": mutating, "spec": spec}
    yield {**version, "kind": f"{mutating}Binding", "spec": {"policyName": name, **here}}


@pytest.fixture(scope="module", autouse=True)
def refused(main_environment: Environment) -> Iterator[None]:
    """A resource with the defaults, whose pods the cluster refuses."""
    kubectl = main_environment.kubectl
    for policy in policies(kubectl.namespace):
        kubectl.apply(policy)
    until("the policies to take effect", lambda: is_refused(main_environment) and is_changed(main_environment))
    kubectl.apply(manifest(main_environment))
    yield
    kubectl("delete", "cetaceanmodel", NAME, "--wait=false")
    name = f"openshift-{kubectl.namespace}"
    kubectl("delete", f"{POLICIES},{BINDINGS}", "--field-selector", f"metadata.name={name}")
    until("the pods to go", lambda: not main_environment.pods(NAME))


def dry_run(environment: Environment, **context: int) -> dict[str, Any]:
    """Return a pod of the resource as the API server would store it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": {"app.kubernetes.io/instance": NAME}},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **context},
            "containers": [
                {
                    "name": "serve",
                    "image": "x",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    flags = ("--dry-run=server", "-o", "json", "-f", "-")
    found: dict[str, Any] = json.loads(environment.kubectl("create", *flags, stdin=json.dumps(pod)))
    return found


def is_refused(environment: Environment) -> bool:
    try:
        dry_run(environment, runAsUser=65532)
    except CommandError as error:
        return "must be in the range" in str(error)
    return False


def is_changed(environment: Environment) -> bool:
    try:
        return len(dry_run(environment)["spec"]["containers"]) == 2
    except CommandError:
        return False


def manifest(environment: Environment, **serving: Any) -> dict[str, Any]:
    return environment.manifest(NAME, active="demo_v1", replicas=1, serving=serving)


def test_a_fixed_user_is_refused_with_the_message_of_the_cluster(main_environment: Environment) -> None:
    until(
        "the pods to be refused",
        lambda: main_environment.condition(NAME, "Ready").get("reason") == "PodsForbidden",
    )
    assert f"must be in the range {USER}" in main_environment.condition(NAME, "Ready")["message"]


def test_without_fixed_ids_the_pods_run_as_the_user_that_the_cluster_assigns(main_environment: Environment) -> None:
    removed = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))
    changed = manifest(main_environment, podSecurityContext=removed)
    flags = ("--server-side", "--field-manager=tests", "--force-conflicts")
    main_environment.kubectl("apply", *flags, "-f", "-", stdin=json.dumps(changed))
    main_environment.wait_for_condition(NAME, "Ready", "True")
    (pod,) = main_environment.pods(NAME)
    assert pod["spec"]["securityContext"]["runAsUser"] == USER
    assert "runAsGroup" not in pod["spec"]["securityContext"]
    user = main_environment.kubectl(
        "exec",
        pod["metadata"]["name"],
        "-c",
        "serve",
        "--",
        "python",
        "-c",
        "import os; print(os.getuid(), os.getgid())",
    )
    assert user.split() == [str(USER), "0"]


def test_a_container_that_is_added_first_changes_nothing(main_environment: Environment) -> None:
    (pod,) = main_environment.pods(NAME)
    assert [container["name"] for container in pod["spec"]["containers"]] == ["mesh", "serve"]
    status = main_environment.resource(NAME)["status"]
    assert (status["serving"]["name"], status["activeReplicas"]) == ("demo_v1", 1)
    assert status["drift"].get("podsSilent", 0) == 0
    slices = main_environment.kubectl.get("endpointslices", "-l", f"kubernetes.io/service-name={NAME}")["items"]
    assert [port["port"] for found in slices for port in found["ports"]] == [8080], "not the port of the same name"
    answer = main_environment.service(NAME).predict(main_environment.models.cetaceans[0])
    assert answer
    generation = main_environment.kubectl.get("deployment", NAME)["metadata"]["generation"]
    main_environment.kubectl("annotate", "cetaceanmodel", NAME, "touched=1")
    main_environment.wait_for_condition(NAME, "Ready", "True")
    assert main_environment.kubectl.get("deployment", NAME)["metadata"]["generation"] == generation
