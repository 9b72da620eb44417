"""Children on a real API server: applied, owned, repaired, garbage collected; the operator never writes the spec."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.live_operator import UNSCHEDULABLE, OperatorProcess, condition, find, model, wait_until_observed

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

EVERYTHING: dict[str, Any] = {
    **UNSCHEDULABLE,
    # The API server normalizes these values; the operator must not see a difference.
    "autoscaling": {"minReplicas": 2, "maxReplicas": 3, "behavior": {"scaleUp": {"tolerance": "0.05"}}},
    "terminationGracePeriodSeconds": 0,
    "networkPolicy": {"enabled": True},
}
CHILDREN = (
    "deployments/whales",
    "services/whales",
    "configmaps/whales-monitoring",
    "poddisruptionbudgets/whales",
    "horizontalpodautoscalers/whales",
    "networkpolicies/whales",
)

pytestmark = pytest.mark.alone  # the operator serves every namespace


@pytest.fixture(scope="module")
def there(cluster_operator: OperatorProcess, namespaced: Kubectl) -> Kubectl:
    """A namespace with a resource that has every kind of child; the operator serves the whole cluster."""
    assert cluster_operator
    namespaced.apply(model("whales", serving=EVERYTHING))
    wait_until_observed(namespaced, "whales")
    return namespaced


def managers(obj: dict[str, Any], *, of: str) -> set[str]:
    """Return the managers of the top-level field `of`."""
    return {entry["manager"] for entry in obj["metadata"]["managedFields"] if f"f:{of}" in entry["fieldsV1"]}


def managed(kubectl: Kubectl, ref: str) -> dict[str, Any]:
    return kubectl.get(ref, "--show-managed-fields")


@pytest.mark.parametrize("ref", CHILDREN)
def test_a_child_is_applied_and_owned(there: Kubectl, ref: str) -> None:
    meta = (child := managed(there, ref))["metadata"]
    owner = there.get("cetaceanmodel", "whales")
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "ecomarineai.org/v1alpha1",
            "kind": "CetaceanModel",
            "name": "whales",
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
    ]
    assert managers(child, of="data" if ref.startswith("configmaps") else "spec") == {"cetacean-operator"}
    ours = [entry for entry in meta["managedFields"] if entry["manager"] == "cetacean-operator"]
    assert [entry["operation"] for entry in ours] == ["Apply"]
    assert "finalizers" not in meta


def test_the_resource_keeps_its_spec_and_gets_no_finalizer(there: Kubectl) -> None:
    resource = managed(there, "cetaceanmodel/whales")
    assert "cetacean-operator" not in managers(resource, of="spec")
    assert managers(resource, of="status") == {"cetacean-operator"}
    assert "finalizers" not in resource["metadata"]
    assert "kopf" not in json.dumps(resource["metadata"])


@pytest.mark.parametrize("ref", CHILDREN)
def test_a_deleted_child_is_created_again(there: Kubectl, ref: str) -> None:
    before = there.get(ref)["metadata"]["uid"]
    there("delete", ref, "--wait=false")

    def back() -> bool:
        found = find(there, ref)
        return found is not None and found["metadata"]["uid"] != before

    until(f"{ref} to be back", back, within=20)


@pytest.mark.parametrize(
    ("ref", "path", "value"),
    [
        ("services/whales", "/spec/ports/0/targetPort", 81),
        # Fields that conflict with ours: a list is merged by its key, and a volume has only one source.
        ("services/whales", "/spec/ports/0/port", 81),
        ("deployments/whales", "/spec/template/spec/volumes/0", {"name": "weights", "secret": {"secretName": "s"}}),
        ("deployments/whales", "/spec/template/spec/containers/0/image", "other:1"),
        ("deployments/whales", "/metadata/labels/app.kubernetes.io~1managed-by", "someone"),
        ("configmaps/whales-monitoring", "/data/monitoring.json", "{}"),
        ("networkpolicies/whales", "/spec/ingress/0/ports/0/port", 1),
        ("horizontalpodautoscalers/whales", "/spec/maxReplicas", 30),
        ("poddisruptionbudgets/whales", "/metadata/ownerReferences/0/controller", False),
    ],
)
def test_a_changed_field_is_restored_and_a_foreign_label_stays(there: Kubectl, ref: str, path: str, value: Any) -> None:
    before = there.get(ref)
    there("label", ref, "team=sea", "--overwrite")
    there("patch", ref, "--type=json", "-p", json.dumps([{"op": "replace", "path": path, "value": value}]))

    def at(obj: Any) -> Any:
        for part in path.strip("/").split("/"):
            obj = obj[int(part)] if part.isdigit() else obj[part.replace("~1", "/")]
        return obj

    until(f"{ref}{path} to be repaired", lambda: at(there.get(ref)) == at(before), within=20)
    assert there.get(ref)["metadata"]["labels"]["team"] == "sea"


def test_an_object_of_someone_else_is_left_alone_and_reported(there: Kubectl) -> None:
    there("create", "service", "clusterip", "taken", "--tcp=80:80")
    before = there.get("service", "taken")
    there.apply(model("taken"))
    ready = condition(wait_until_observed(there, "taken"), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NameTaken")
    assert ready["message"] == "Service taken exists and is not this resource's: rename one of the two"
    assert there.get("service", "taken") == before
    assert find(there, "deployment", "taken") is None
    there("delete", "service", "taken")
    there("annotate", "cetaceanmodel", "taken", "try=again")
    until("the Service to be ours", lambda: find(there, "deployment", "taken"), within=30)


@pytest.mark.parametrize("kind", ["service", "configmap", "deployment"])
def test_a_label_does_not_make_an_object_ours(there: Kubectl, kind: str) -> None:
    """`kubectl expose` copies labels: an object of someone else is neither applied nor deleted, whatever its labels."""
    name = f"labelled-{kind}"
    child = f"{name}-monitoring" if kind == "configmap" else name
    there.apply(foreign_object(kind, child, name))
    stray = foreign_object("configmap", f"{name}-stray", name)
    there.apply(stray)
    there.apply(model(name))
    ready = condition(wait_until_observed(there, name), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NameTaken")
    assert ready["message"].lower().startswith(f"{kind} {child} exists")
    assert not owned(there.get(kind, child))
    assert {entry["manager"] for entry in managed(there, f"{kind}/{child}")["metadata"]["managedFields"]}.isdisjoint(
        {"cetacean-operator"}
    )
    there("delete", kind, child)
    there("annotate", "cetaceanmodel", name, "try=again")
    until("the child to be ours", lambda: owned(find(there, kind, child)), within=30)
    assert there.get("configmap", f"{name}-stray")["data"] == stray["data"], "it is not deleted as a stale child"


def test_an_orphaned_child_gets_its_owner_back(there: Kubectl) -> None:
    there.apply(model("orphaned"))
    wait_until_observed(there, "orphaned")
    before = there.get("service", "orphaned")["metadata"]["uid"]
    there("delete", "cetaceanmodel", "orphaned", "--cascade=orphan")
    there.apply(model("orphaned"))
    until("the orphan to be owned", lambda: owned(find(there, "service", "orphaned")), within=30)
    assert there.get("service", "orphaned")["metadata"]["uid"] == before


def foreign_object(kind: str, name: str, model: str) -> dict[str, Any]:
    """Return an object without owner that has the labels of a CetaceanModel's children."""
    labels = {"ecomarineai.org/cetaceanmodel": model, "app.kubernetes.io/managed-by": "cetacean-operator"}
    container = {"name": "serve", "image": "127.0.0.1:1/theirs:1"}
    selector = {"app": "theirs"}
    template = {"metadata": {"labels": selector}, "spec": {"containers": [container]}}
    body: dict[str, dict[str, Any]] = {
        "service": {"apiVersion": "v1", "kind": "Service", "spec": {"selector": selector, "ports": [{"port": 80}]}},
        "configmap": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"theirs": "stays"}},
        "deployment": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {"replicas": 0, "selector": {"matchLabels": selector}, "template": template},
        },
    }
    return {**body[kind], "metadata": {"name": name, "labels": labels}}


def owned(obj: dict[str, Any] | None) -> bool:
    """Return true if a CetaceanModel controls the object."""
    owners = (obj or {}).get("metadata", {}).get("ownerReferences", ())
    return any(owner["kind"] == "CetaceanModel" and owner.get("controller") for owner in owners)


def test_a_child_that_the_spec_no_longer_has_is_deleted(there: Kubectl) -> None:
    there.apply(model("shrinking", serving={"podDisruptionBudget": {"enabled": True}}))
    wait_until_observed(there, "shrinking")
    assert find(there, "poddisruptionbudget", "shrinking") is not None
    there.apply(model("shrinking", serving={"podDisruptionBudget": {"enabled": False}}))
    until("the budget to go", lambda: find(there, "poddisruptionbudget", "shrinking") is None, within=20)


def test_the_garbage_collector_removes_the_children(there: Kubectl) -> None:
    serving = {"podDisruptionBudget": {"enabled": True}, "networkPolicy": {"enabled": True}}
    there.apply(model("mortal", serving=serving))
    wait_until_observed(there, "mortal")
    kinds = "deployments,services,configmaps,poddisruptionbudgets,networkpolicies"

    def left() -> list[str]:
        found = there.get(kinds, "-l", "ecomarineai.org/cetaceanmodel=mortal")["items"]
        return [f"{item['kind']}/{item['metadata']['name']}" for item in found]

    assert len(left()) == 5
    there("delete", "cetaceanmodel", "mortal")
    until("the children to go", lambda: not left(), within=40)
    assert find(there, "cetaceanmodel", "mortal") is None
