"""A pod to scrape, and the answers of one scrape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cetacean_operator.api.feedback import FeedbackReport
from cetacean_operator.api.observed import Identity
from cetacean_operator.api.shadow import ShadowReport
from cetacean_operator.kube.store import Key
from cetacean_operator.pods.pod_responses import DriftStats


@dataclass(frozen=True, slots=True)
class Target:
    """A pod to scrape."""

    uid: str
    key: Key
    host: str
    port: int
    ready: bool
    compares: bool = False
    """True if the pod sends pictures to a candidate, and is asked how the answers differ."""

    @property
    def url(self) -> str:
        """The pod's base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The last answers of a pod. A part that failed is None or empty, and `error` names the first failure."""

    identity: Identity | None = None
    drift_stats: DriftStats | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    rejections: Mapping[str, float] = field(default_factory=dict)
    durations: tuple[tuple[float, float], ...] = ()
    shadow: ShadowReport | None = None
    feedback: FeedbackReport | None = None
    """None also if the pod has no feedback, and was therefore not asked."""
    error: str | None = None
    hung: bool = field(default=False, compare=False)

    @property
    def answered(self) -> bool:
        """True if the pod has answered at least one request."""
        return self.identity is not None or self.drift_stats is not None or bool(self.metrics)

    @property
    def settled(self) -> bool:
        """True if the pod has reported the weights that it serves."""
        return self.identity is not None and self.identity.digest is not None
