"""The state of the cluster as decisions get it: the resource's children, its pods and their reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from cetacean_operator.api.feedback import FeedbackReport
from cetacean_operator.api.model_approval import Approvals
from cetacean_operator.api.objects import mapping_of
from cetacean_operator.api.shadow import ShadowReport

Object = dict[str, Any]
PROBABILITY_UNIT: Final = 10_000
"""Pods round probabilities to four decimals: a sum of them is a whole number of ten-thousandths."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The model that a pod reports (`/v1/identity`)."""

    name: str | None = None
    version: str | None = None
    digest: str | None = None
    """SHA-256 of the weights that were loaded; None until then."""
    threshold: float | None = None
    config_digest: str | None = None
    rollout_id: str | None = None


class SpeciesCount(NamedTuple):
    """The answers that name one species."""

    species: str
    number: int
    probability_sum: int
    """Of their probabilities, in units of 1 / PROBABILITY_UNIT."""


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """One pod's newest answers (`answers` of `/v1/drift-stats`); the counts fit together."""

    answered: int
    identified: int
    """Pictures that the gate accepted."""
    low_confidence: int
    """Identified pictures that were rejected as low_confidence."""
    cetacean_score: tuple[int, ...]
    """Histogram of the answered pictures."""
    top_probability: tuple[int, ...]
    """Histogram of the identified pictures."""
    species: tuple[SpeciesCount, ...]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One pod's window (`/v1/drift-stats`) and counters (`/metrics`)."""

    samples: int = 0
    mean: float | None = None
    alarms: int = 0
    score_avg: float | None = None
    """The gauge `cetacean_score_avg`, over the same window."""
    requests: float = 0.0
    """Pictures answered in the recent window, rejected ones included."""
    rejections: float = 0.0
    """Those of them that were rejected as no marine mammal."""
    answers: AnswerCounts | None = None
    """None if the pod reports none that can be used."""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """One pod's responses to clients (`/metrics`)."""

    requests: float = 0.0
    """The number of requests in `availability_percent`."""
    availability_percent: float | None = None
    durations: tuple[tuple[float, float], ...] = ()
    """Histogram of recent response times: bound in seconds and cumulative count, the last bound inf."""
    requests_total: float = 0.0
    """Requests for predictions since the process started."""
    errors_total: float = 0.0
    """Those of them that were answered with 5xx."""
    durations_total: tuple[tuple[float, float], ...] = ()
    """The histogram of all response times since the process started."""


@dataclass(frozen=True, slots=True)
class ContainerFailure:
    """The last failure of a container, or the reason why it cannot start."""

    container: str
    reason: str
    """As the kubelet names it: ErrImagePull, OOMKilled, Error, CrashLoopBackOff…"""
    message: str
    exit_code: int | None = None
    restarts: int = 0
    waiting: bool = False
    """True if the container waits now, False if it has terminated."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the resource."""

    uid: str
    name: str
    rollout_id: str | None
    ready: bool
    terminating: bool
    definition: str | None = None
    """Digest of its model's definition, as its template names it; None if the template names none."""
    started_at: str | None = None
    """When the main container began to run, None if it does not run."""
    unschedulable: str | None = None
    """The scheduler's message."""
    lost_node: str | None = None
    """The pod's node if the control plane has marked the pod as not ready because the node does not report."""
    failures: tuple[ContainerFailure, ...] = ()
    signature: str | None = None
    """The line in which its container `fetch` reported about the signature of its weights, None without one."""
    asked: bool = True
    """True if the operator has scraped the pod since it started."""
    job: str | None = None
    """The Job that has started the pod, None for a pod of a Deployment."""
    fetched: bool = False
    """True if its container `fetch` has ended well."""
    silent: str | None = None
    """Why the last scrape failed, None if it did not."""
    identity: Identity | None = None
    drift: DriftReport | None = None
    service: ServiceReport | None = None
    shadow: ShadowReport | None = None
    feedback: FeedbackReport = field(default_factory=dict)
    """Since its container started, as far as it was scraped."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a decision depends on besides the resource and the time."""

    children: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    """Live objects with the resource's label, by kind and name; other owners' objects may be among them."""
    pods: tuple[Pod, ...] = ()
    candidate_pods: tuple[Pod, ...] = ()
    """Pods of the candidate: they answer copies of pictures, and clients only during a canary."""
    prefetch_pods: tuple[Pod, ...] = ()
    """Pods of Jobs that fetch weights; they serve nothing."""
    operator_namespace: str = "default"
    """The namespace that the operator runs in."""
    served_kinds: frozenset[str] = frozenset()
    """Kinds of children that the cluster serves because their CRD is installed."""
    kubernetes: tuple[int, int] | None = None
    """Major and minor version of the API server, None if it is not known."""
    name_conflict: str | None = None
    """Kind and name of a child that another owner has, such as `Deployment whales`."""
    candidate_conflict: str | None = None
    """The same of a child of the candidate: it blocks the candidate, and nothing that serves."""
    refused: str | None = None
    """The API server's message when it last refused a child of this generation."""
    approvals: Approvals = field(default_factory=Approvals)
    """The ModelApprovals that name the resource."""

    @property
    def unasked(self) -> bool:
        """True if a ready pod has not been scraped yet: then a status would lack what the pod serves or has shown."""
        pods = (*self.pods, *self.candidate_pods)
        return any(pod.ready and not pod.asked and not pod.terminating for pod in pods)


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
        """Read a Kubernetes object."""
        meta = obj["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=int(meta.get("generation") or 0),
            resource_version=str(meta.get("resourceVersion") or ""),
            spec=mapping_of(obj.get("spec")),
            status=mapping_of(obj.get("status")),
            annotations=mapping_of(meta.get("annotations")),
            deleting="deletionTimestamp" in meta,
        )
