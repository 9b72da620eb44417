"""The result of a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from cetacean_operator.api.observed import Object
from cetacean_operator.api.status import Status


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One transition, to be recorded as an Event once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str = "Reconcile"


@dataclass(frozen=True, slots=True)
class ChildRef:
    """A live child, to be deleted."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Children, status and events."""

    status: Status
    children: tuple[Object, ...] = ()
    """All wanted manifests."""
    apply: tuple[Object, ...] = ()
    """Those of them that differ from the live objects."""
    differences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The paths that differ, by `Kind/name`."""
    delete: tuple[ChildRef, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    """Of the resource itself: the drift figures."""
    events: tuple[EventSpec, ...] = ()
    requeue_after: float | None = None
    """Seconds until time alone changes something."""


def status_as_applied(status: Status) -> dict[str, Any]:
    """Return the status as it is sent; equal data means that no write is needed."""
    return status.wire()
