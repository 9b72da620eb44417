"""What a decision comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from cetacean_operator.api.observed import Object
from cetacean_operator.api.status import Status


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One transition, to be told once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str = "Reconcile"


@dataclass(frozen=True, slots=True)
class ChildRef:
    """A child that shall not exist."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Children, status and events; `apply` holds only what is not there yet."""

    status: Status
    children: tuple[Object, ...] = ()
    """All manifests that shall exist."""
    apply: tuple[Object, ...] = ()
    """Those of them that differ from what is there."""
    differences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Why, by `Kind/name`: the paths that differ."""
    delete: tuple[ChildRef, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    """Of the resource itself."""
    events: tuple[EventSpec, ...] = ()
    requeue_after: float | None = None
    """Seconds until time alone changes something."""


def timestamp(now: datetime) -> str:
    """Return RFC 3339 in UTC with seconds, as Kubernetes writes times."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(text: str | None, now: datetime) -> float | None:
    """Return the age of a time that was written by `timestamp`, None where it is none."""
    try:
        then = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()


def status_as_applied(status: Status) -> dict[str, Any]:
    """Return the status as it is sent; equal data means that no write is needed."""
    return status.wire()
