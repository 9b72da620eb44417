"""ModelApprovals for tests, as the API server returns them and as decisions get them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cetacean_operator.api.model_approval import Approval, parse_approvals
from cetacean_operator.api.observed import Object
from cetacean_operator.api.timestamps import timestamp
from support.operator_world import BEGIN


def approval_object(
    approver: str = "alice", *, candidate: str = "second", digit: str = "b", at: datetime = BEGIN, **spec: Any
) -> Object:
    """Return a ModelApproval of the resource `whales` for the weights whose digest is `digit` 64 times."""
    kind = spec.get("kind", "Review")
    name = f"whales.{candidate}.{digit * 12}.{kind.lower()}.{approver}"
    return {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "ModelApproval",
        "metadata": {
            "namespace": "sea",
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
            "creationTimestamp": timestamp(at),
        },
        "spec": {
            "resource": "whales",
            "candidate": candidate,
            "digest": digit * 64,
            "kind": kind,
            "approver": approver,
            **spec,
        },
    }


def approval(approver: str = "alice", **changes: Any) -> Approval:
    """Return the same as decisions get it."""
    (found,) = parse_approvals([approval_object(approver, **changes)])
    return found
