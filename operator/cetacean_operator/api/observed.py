"""What is: the resource's children, its pods and what they report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a pod says it serves (`/v1/identity`)."""

    name: str | None = None
    version: str | None = None
    digest: str | None = None
    """SHA-256 of the weights that were loaded; None until then."""
    threshold: float | None = None
    config_digest: str | None = None
    rollout_id: str | None = None


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One pod's window (`/v1/drift-stats`) and counters (`/metrics`)."""

    samples: int = 0
    mean: float | None = None
    alarms: int = 0
    score_avg: float | None = None
    """The gauge `cetacean_score_avg`, over the same window."""
    requests: float = 0.0
    """Answered pictures of the recent window, rejected ones included."""
    rejections: float = 0.0
    """Of those, rejected as no marine mammal."""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """How one pod answers its clients (`/metrics`)."""

    requests: float = 0.0
    """Requests that `availability_percent` is over."""
    availability_percent: float | None = None
    durations: tuple[tuple[float, float], ...] = ()
    """Recent answers with a picture's result that took at most so many seconds: bound and count, the last bound inf."""


@dataclass(frozen=True, slots=True)
class ContainerFailure:
    """How a container failed last, or why it cannot start."""

    container: str
    reason: str
    """As the kubelet names it: ErrImagePull, OOMKilled, Error, CrashLoopBackOff…"""
    message: str
    exit_code: int | None = None
    restarts: int = 0
    waiting: bool = False
    """Whether it waits now, as opposed to having ended."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the resource."""

    uid: str
    name: str
    rollout_id: str | None
    ready: bool
    terminating: bool
    started_at: str | None = None
    """When the main container began to run, None while it does not."""
    unschedulable: str | None = None
    """The scheduler's message."""
    failures: tuple[ContainerFailure, ...] = ()
    asked: bool = True
    """Whether the pod has been asked what it serves since the operator started."""
    silent: str | None = None
    """Why the last question got no answer."""
    identity: Identity | None = None
    drift: DriftReport | None = None
    service: ServiceReport | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a decision depends on, besides the resource and the time."""

    children: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    """Live children by kind and name."""
    pods: tuple[Pod, ...] = ()
    service_monitors: bool = False
    """Whether the cluster serves ServiceMonitors."""
    name_conflict: str | None = None
    """Kind and name of a child that another owner has, such as `Deployment whales`."""
    refused: str | None = None
    """What the API server said when it last refused a child for this generation."""

    @property
    def unasked(self) -> bool:
        """Whether a ready pod has not been asked yet: then the status would tell less than is true."""
        return any(pod.ready and not pod.asked and not pod.terminating for pod in self.pods)


@dataclass(frozen=True, slots=True)
class CetaceanModel:
    """A CetaceanModel as the API server has it."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    annotations: Mapping[str, str]
    deleting: bool = False

    @classmethod
    def of(cls, obj: Object) -> CetaceanModel:
        """Take the parts out of a Kubernetes object."""
        meta = obj["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=int(meta.get("generation") or 0),
            resource_version=str(meta.get("resourceVersion") or ""),
            spec=obj.get("spec") or {},
            status=obj.get("status") or {},
            annotations=meta.get("annotations") or {},
            deleting="deletionTimestamp" in meta,
        )
