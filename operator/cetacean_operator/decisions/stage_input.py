"""The facts that the stages of a candidate depend on, besides the resource's spec and history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from cetacean_operator.api import names
from cetacean_operator.api.candidate import PersonDecision
from cetacean_operator.api.observed import Object, Pod
from cetacean_operator.api.spec import Model
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.identity import Rollout


@dataclass(frozen=True, slots=True)
class OverdueRollout:
    """A rollout of the resource's own Deployment that has passed its progress deadline."""

    rollout: str
    """Weights and configuration."""
    message: str
    """Why its pods are not ready."""
    deadline_seconds: int


@dataclass(frozen=True, slots=True)
class StageInput:
    """Facts about the candidate and the pods that serve."""

    name: str
    """Of the resource."""
    now: datetime
    pods: tuple[Pod, ...] = ()
    """Ready ones, of the resource's own Deployment."""
    wanted: int = 1
    """Replicas of that Deployment."""
    candidate_pods: tuple[Pod, ...] = ()
    deployment: Object | None = None
    """The candidate's live Deployment."""
    live_run: str | None = None
    """The comparison that the serving pods have been asked for already."""
    decision: PersonDecision | None = None
    """A person's last decision about a candidate, for whatever weights."""
    overdue: OverdueRollout | None = None
    """None unless the rollout of the resource's own Deployment has passed its deadline."""
    name_conflict: str | None = None
    """Kind and name of an object of someone else that has the name of a child of the candidate."""

    @property
    def blocked(self) -> str | None:
        """Why no candidate can run beside what serves, None if nothing is in its way."""
        if self.name_conflict is None:
            return None
        return f"{self.name_conflict} exists and is not this resource's, so no candidate can run: rename one of the two"

    @property
    def at(self) -> str:
        """The time as a timestamp."""
        return timestamp(self.now)


@dataclass(frozen=True, slots=True)
class Pair:
    """The candidate and the model that serves."""

    candidate: Model
    rollout: Rollout
    served: Rollout
    served_digest: str | None
    """SHA-256 of its weights, None while no pod has reported it."""


def planned_run(config_map: Object | None) -> str | None:
    """Return the comparison that a live monitoring file names, None if it names none."""
    try:
        data = (config_map or {}).get("data") or {}
        return str(json.loads(data[names.MONITORING_FILE])["shadow"]["run"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None  # someone has changed the file, or there is no comparison
