"""Which objects the operator may change and delete: those that a resource controls, never those with a label alone."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import manifest

from cetacean_operator.api.observed import CetaceanModel
from cetacean_operator.decisions.ownership import is_owned_by

WHALES = CetaceanModel.of(manifest())
LABELS = {"ecomarineai.org/cetaceanmodel": "whales", "app.kubernetes.io/managed-by": "cetacean-operator"}
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
        ({"ownerReferences": [owner(controller=False)], "annotations": APPLIED}, True),
        ({"ownerReferences": [owner(kind="Dolphin", controller=False), owner()]}, True),
        ({"labels": LABELS}, False),
        ({"labels": LABELS, "annotations": None, "ownerReferences": None}, False),
        ({"ownerReferences": [owner(controller=False)], "labels": LABELS}, False),
        ({"ownerReferences": [owner(name="dolphins")], "labels": LABELS, "annotations": APPLIED}, False),
        ({"ownerReferences": [owner(kind="StatefulSet", apiVersion="apps/v1")], "labels": LABELS}, False),
        ({"ownerReferences": [owner(apiVersion="example.org/v1")], "annotations": APPLIED}, False),
        ({}, False),
    ],
    ids=[
        "a child",
        "a child whose labels were removed",
        "a child of a deleted resource of the same name",
        "a child of another version of the API",
        "a child that was orphaned",
        "a child whose reference is no controller any more",
        "a child with a second owner",
        "no owner and the labels",
        "a Service of kubectl expose with the labels",
        "an owner that is no controller and the labels",
        "a child of another CetaceanModel",
        "a child of a StatefulSet",
        "a child of another group's CetaceanModel",
        "neither owner nor labels",
    ],
)
def test_a_controller_or_else_the_annotation_makes_an_object_a_child(metadata: dict[str, Any], owned: bool) -> None:
    assert is_owned_by({"kind": "Service", "metadata": {"name": "whales", **metadata}}, WHALES) == owned
