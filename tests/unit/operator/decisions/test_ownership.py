"""Which objects the operator may change and delete: those that a resource controls, never those with a label alone."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import manifest

from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.decisions.ownership import is_owned_by, owner_of

WHALES = CetaceanModel.of(manifest())
LABELS = {"ecomarineai.org/cetaceanmodel": "whales", "app.kubernetes.io/managed-by": "cetacean-operator"}
CANDIDATE = {"ecomarineai.org/cetaceanmodel": "whales_candidate"}
APPLIED = {"ecomarineai.org/applied-digest": "0123456789abcdef"}


def owner(**changes: Any) -> dict[str, Any]:
    reference = {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "CetaceanModel",
        "name": "whales",
        "uid": "uid-1",
        "controller": True,
    }
    return reference | changes


@pytest.mark.parametrize(
    ("metadata", "owned"),
    [
        ({"ownerReferences": [owner()], "labels": LABELS, "annotations": APPLIED}, True),
        ({"ownerReferences": [owner()]}, True),
        ({"ownerReferences": [owner(uid="gone")]}, True),
        ({"ownerReferences": [owner(apiVersion="ecomarineai.org/v1")]}, True),
        ({"annotations": APPLIED}, True),
        ({"annotations": APPLIED, "labels": CANDIDATE}, True),
        ({"annotations": APPLIED, "labels": {"ecomarineai.org/cetaceanmodel": "dolphins_candidate"}}, False),
        ({"labels": CANDIDATE}, False),
        ({"ownerReferences": [owner(controller=False)], "annotations": APPLIED}, True),
        ({"ownerReferences": [owner(kind="Dolphin", controller=False), owner()]}, True),
        ({"labels": LABELS}, False),
        ({"labels": LABELS, "annotations": None, "ownerReferences": None}, False),
        ({"ownerReferences": [owner(controller=False)], "labels": LABELS}, False),
        ({"ownerReferences": [owner(name="dolphins")], "labels": LABELS, "annotations": APPLIED}, False),
        ({"ownerReferences": [owner(kind="StatefulSet", apiVersion="apps/v1")], "labels": LABELS}, False),
        ({"ownerReferences": [owner(apiVersion="example.org/v1")], "annotations": APPLIED}, False),
        ({"ownerReferences": [owner(apiVersion="ecomarineai.org")], "annotations": APPLIED}, False),
        ({}, False),
    ],
    ids=[
        "a child",
        "a child whose labels were removed",
        "a child of a deleted resource of the same name",
        "a child of another version of the API",
        "a child that was orphaned",
        "a candidate's child that was orphaned",
        "an orphaned child of another resource's candidate",
        "no owner and a candidate's label",
        "a child whose reference is no controller any more",
        "a child with a second owner",
        "no owner and the labels",
        "a Service of kubectl expose with the labels",
        "an owner that is no controller and the labels",
        "a child of another CetaceanModel",
        "a child of a StatefulSet",
        "a child of another group's CetaceanModel",
        "a child of a CetaceanModel without a group",
        "neither owner nor labels",
    ],
)
def test_a_controller_or_else_the_annotation_makes_an_object_a_child(metadata: dict[str, Any], owned: bool) -> None:
    assert is_owned_by({"kind": "Service", "metadata": {"name": "whales", **metadata}}, WHALES) == owned


# --- Whose object the cache takes one for -----------------------------------------------------------------------------


def test_a_resource_belongs_to_itself() -> None:
    assert owner_of(manifest()) == "whales"


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"ownerReferences": [owner()]}, "whales"),
        ({"ownerReferences": [owner(kind="StatefulSet", apiVersion="apps/v1")], "labels": LABELS}, None),
        ({"annotations": APPLIED, "labels": LABELS}, "whales"),
        ({"annotations": APPLIED, "labels": CANDIDATE}, "whales"),
        ({"annotations": APPLIED}, None),
        ({"labels": LABELS}, None),
        ({"labels": LABELS, "annotations": {"other": "x"}}, None),
    ],
    ids=[
        "a child",
        "a child of a StatefulSet",
        "a child that was orphaned",
        "a candidate's child that was orphaned",
        "an orphan without labels",
        "the labels alone",
        "the labels and other annotations",
    ],
)
def test_a_child_is_found_by_its_controller_or_else_by_annotation_and_label(
    metadata: dict[str, Any], owner: str | None
) -> None:
    assert owner_of({"kind": "Deployment", "metadata": {"name": "whales", **metadata}}) == owner


def prefetch_pod(controller: str | None, *, resource: str | None = "whales") -> Object:
    """A pod that fetches weights for `resource`."""
    labels = {"ecomarineai.org/cetaceanmodel": "prefetch_job"}
    labels |= {"app.kubernetes.io/instance": resource} if resource else {}
    job = {"apiVersion": "batch/v1", "kind": controller, "name": "whales-prefetch-aaaaaaaaaa", "controller": True}
    return {"kind": "Pod", "metadata": {"name": "p", "labels": labels, "ownerReferences": [job] if controller else []}}


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (prefetch_pod("Job"), "whales"),
        (prefetch_pod("ReplicaSet"), None),
        (prefetch_pod(None), None),
        (prefetch_pod("Job", resource=None), None),
    ],
    ids=["of a Job", "of a ReplicaSet", "of nothing", "for no resource"],
)
def test_a_pod_that_fetches_weights_belongs_to_the_resource_that_it_names_if_a_job_controls_it(
    found: Object, owner: str | None
) -> None:
    assert owner_of(found) == owner


def test_a_pod_without_labels_belongs_to_no_resource() -> None:
    controller = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "whales-5d4f8", "uid": "u", "controller": True}
    assert owner_of({"kind": "Pod", "metadata": {"name": "p", "ownerReferences": [controller]}}) is None


def pod(
    controller: str | None, *, label: str = "whales", template: str | None = "5d4f8", kind: str = "ReplicaSet"
) -> Object:
    """A pod with the label of `whales`."""
    labels = {"ecomarineai.org/cetaceanmodel": label} | ({"pod-template-hash": template} if template else {})
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": controller, "uid": "u", "controller": True}
    meta = {"name": "p", "labels": labels, "ownerReferences": [owner] if controller else []}
    return {"kind": "Pod", "metadata": meta}


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (pod("whales-5d4f8"), "whales"),
        (pod(None), None),
        (pod("whales-5d4f8", template=None), None),
        (pod("others-5d4f8"), None),
        (pod("whales-other"), None),
        (pod("whales-5d4f8", kind="StatefulSet"), None),
        (pod("whales-candidate-5d4f8", label="whales_candidate"), "whales"),
        (pod("whales-candidate-5d4f8"), None),
        (pod("whales-5d4f8", label="whales_candidate"), None),
        (pod(None, label="whales_candidate"), None),
    ],
)
def test_a_pod_belongs_to_the_resource_whose_replica_set_controls_it(found: Object, owner: str | None) -> None:
    """Whoever may create a pod may label it; the label alone proves nothing."""
    assert owner_of(found) == owner


@pytest.mark.parametrize(
    ("approval", "owner"),
    [
        ({"spec": {"resource": "whales"}}, "whales"),
        ({"spec": {"resource": 7}}, None),
        ({"spec": {}}, None),
        ({"spec": "whales"}, None),
        ({}, None),
    ],
)
def test_an_approval_belongs_to_the_resource_that_it_names(approval: Object, owner: str | None) -> None:
    """Its fields were checked by the API server of the version that stored it, which may be another one."""
    assert owner_of({"kind": "ModelApproval", "metadata": {"name": "a"}, **approval}) == owner
