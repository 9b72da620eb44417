"""Which live objects are a resource's children, so that the operator may change and delete them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.objects import annotations_of
from cetacean_operator.api.observed import CetaceanModel, Object


def is_owned_by(live: Object, resource: CetaceanModel) -> bool:
    """Return whether an object is a child of the resource.

    The controller reference decides. It is compared by kind and name: a resource that was deleted and created again has
    another uid, and its children stay until the garbage collector has found them. `kubectl delete --cascade=orphan`
    removes the reference; then the annotation decides that the operator writes with each apply.

    A label proves nothing: `kubectl expose` copies the labels of what it exposes.
    """
    controller = _controller_of(live)
    if controller is None:
        return names.ANNOTATION_APPLIED in annotations_of(live)
    group = str(controller.get("apiVersion", "")).rpartition("/")[0]
    return (group, controller["kind"], controller["name"]) == (names.GROUP, names.KIND, resource.name)


def _controller_of(live: Object) -> Mapping[str, Any] | None:
    owners = live["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)
