"""Which live objects are a resource's children, so that the operator may change and delete them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.model_approval import APPROVAL_KIND
from cetacean_operator.api.objects import annotations_of
from cetacean_operator.api.observed import CetaceanModel, Object

Ref = tuple[str, str]
"""Kind and name."""


def is_owned_by(live: Object, resource: CetaceanModel) -> bool:
    """Return whether an object is a child of the resource.

    The controller reference decides. It is compared by kind and name: a resource that was deleted and created again has
    another uid, and its children stay until the garbage collector has found them. `kubectl delete --cascade=orphan`
    removes the reference; then the annotation decides that the operator writes with each apply.

    A label proves nothing: `kubectl expose` copies the labels of what it exposes.
    """
    controller = _controller_of(live)
    if controller is None:
        label = _label(live)
        is_labelled = label is None or names.resource_of_label(label) == resource.name
        return names.ANNOTATION_APPLIED in annotations_of(live) and is_labelled
    return _model_of(controller) == resource.name


def owner_of(obj: Object) -> str | None:
    """Return the name of the CetaceanModel that an object belongs to, None for objects of others.

    A ModelApproval belongs to the resource that it names. It is no child: nothing is derived from its labels.

    A pod belongs to the resource of its label if a ReplicaSet of that resource's Deployment, or of its candidate's,
    controls it: the garbage collector deletes a pod whose controller does not exist, and a ReplicaSet counts a pod that
    names it as its own. A pod that fetches weights belongs to the resource that it names if a Job controls it; only
    those count whose Job is the resource's.
    """
    label, controller = _label(obj), _controller_of(obj)
    if obj["kind"] == names.KIND:
        return str(obj["metadata"]["name"])
    if obj["kind"] == APPROVAL_KIND:
        return _approved_resource(obj)
    if obj["kind"] == "Pod":
        return _resource_of_pod(obj, label, controller)
    if controller is None:
        is_orphan = names.ANNOTATION_APPLIED in annotations_of(obj)
        return names.resource_of_label(label) if label is not None and is_orphan else None
    return _model_of(controller)


def _resource_of_pod(pod: Object, label: str | None, controller: Mapping[str, Any] | None) -> str | None:
    if label == names.PREFETCH_LABEL:
        name = (pod["metadata"].get("labels") or {}).get(names.LABEL_INSTANCE)
        return str(name) if name and controller is not None and controller["kind"] == "Job" else None
    if label is None:
        return None
    name = names.resource_of_label(label)
    deployment = name if label == name else names.candidate_name(name)
    return name if _is_replica(pod, controller, deployment) else None


def _approved_resource(approval: Object) -> str | None:
    spec = approval.get("spec")
    name = spec.get("resource") if isinstance(spec, Mapping) else None
    return name if isinstance(name, str) else None


def _label(obj: Object) -> str | None:
    return (obj["metadata"].get("labels") or {}).get(names.LABEL_MODEL)


def _controller_of(obj: Object) -> Mapping[str, Any] | None:
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _model_of(controller: Mapping[str, Any]) -> str | None:
    group = str(controller.get("apiVersion", "")).rpartition("/")[0]
    return str(controller["name"]) if (group, controller["kind"]) == (names.GROUP, names.KIND) else None


def _is_replica(pod: Object, controller: Mapping[str, Any] | None, deployment: str) -> bool:
    template = (pod["metadata"].get("labels") or {}).get(names.LABEL_TEMPLATE_HASH)
    if controller is None or template is None:
        return False
    return (controller["kind"], controller["name"]) == ("ReplicaSet", f"{deployment}-{template}")
