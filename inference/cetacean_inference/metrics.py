"""Prometheus metrics of one app: the old service's names exactly as they were, and what the field expects beside them.

Every app has a registry of its own. Only requests for predictions count; probes and scrapes count nowhere.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector
from prometheus_client import Counter as Counted
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from cetacean_inference.decision import Detection, RejectionReason
from cetacean_inference.drift import DriftMonitor
from cetacean_inference.types import PassedOver

MaskOutcome = Literal["made", "full", "late", "failed", "large"]
RECENT: Final = 1000
"""How many requests availability and average latency look at."""
PREFIX: Final = "cetacean_inference_"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Stages:
    """Where the time of one picture went, in seconds, and how many pictures were computed with it."""

    prepare: float
    """Reading, decoding and resizing."""
    queue: float
    """Waiting for the model."""
    predict: float
    batch_size: int


class Metrics:
    """What is counted; every method is thread safe.

    Args:
        drift: whose window is shown.
        info: labels of the model that serves, None while none does.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        drift: DriftMonitor,
        info: Callable[[], dict[str, str] | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry: Final = CollectorRegistry()
        self.clock: Final = clock
        self.drift: Final = drift
        self.info: Final = info
        self.begun: Final = clock()
        self._lock = threading.Lock()
        self._requests = self._errors = self._predictions = 0
        self._rejections: Counter[RejectionReason] = Counter(dict.fromkeys(RejectionReason, 0))
        self._recent: deque[tuple[bool, int]] = deque()
        self._recent_failed = self._recent_microseconds = 0
        self.in_flight: Final = Gauge(
            f"{PREFIX}requests_in_flight", "Requests for predictions under way.", registry=self.registry
        )
        self.queue_depth: Final = Gauge(
            f"{PREFIX}queue_depth", "Pictures admitted and not yet answered.", registry=self.registry
        )
        self.upload_bytes: Final = Gauge(
            f"{PREFIX}upload_bytes", "Bytes of the bodies that are here or on their way.", registry=self.registry
        )
        self._duration = Histogram(
            f"{PREFIX}request_duration_seconds",
            "Time to answer a request for predictions.",
            ("endpoint", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            f"{PREFIX}stage_duration_seconds",
            "Where the time of a picture goes.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            f"{PREFIX}batch_size",
            "Pictures computed at once.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self._masks = Counted(
            f"{PREFIX}masks",
            "Masks asked for: made, or null because too many were waiting, it came late, failed, or was too large.",
            ("outcome",),
            registry=self.registry,
        )
        self._passed_over = Gauge(
            f"{PREFIX}engine_passed_over",
            "1 for a faster engine that does not compute: absent, failed, or disagrees with torch-eager.",
            ("engine", "network", "reason"),
            registry=self.registry,
        )
        self.registry.register(_Figures(self))
        ProcessCollector(registry=self.registry)

    def passed_over(self, engines: Iterable[PassedOver]) -> None:
        """Show which faster engines do not compute, and why."""
        for one in engines:
            self._passed_over.labels(one.engine, one.network, one.reason).set(1)

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request for predictions; `endpoint` must be one of few."""
        failed, microseconds = status >= 500, round(seconds * 1e6)
        self._duration.labels(endpoint, str(status)).observe(seconds)
        with self._lock:
            self._requests += 1
            self._errors += failed
            self._recent.append((failed, microseconds))
            self._recent_failed += failed
            self._recent_microseconds += microseconds
            if len(self._recent) > RECENT:
                old_failed, old_microseconds = self._recent.popleft()
                self._recent_failed -= old_failed
                self._recent_microseconds -= old_microseconds

    def predicted(self, detection: Detection) -> None:
        """Count the answer for one picture."""
        with self._lock:
            if detection.rejection_reason is None:
                self._predictions += 1
            else:
                self._rejections[detection.rejection_reason] += 1

    def took(self, stages: Stages) -> None:
        """Note where the time of a picture went."""
        for stage, seconds in (("prepare", stages.prepare), ("queue", stages.queue), ("predict", stages.predict)):
            self._stages.labels(stage).observe(seconds)

    def masked(self, outcome: MaskOutcome, *, seconds: float | None = None) -> None:
        """Count what became of a mask, and note how long one that was made took."""
        self._masks.labels(outcome).inc()
        if seconds is not None:
            self._stages.labels("mask").observe(seconds)

    def computed(self, size: int) -> None:
        """Note the size of a batch."""
        self._batches.observe(size)

    def figures(self) -> Iterator[Metric]:
        """The old service's metrics, then the model's and the window's."""
        with self._lock:
            requests, errors, predictions = self._requests, self._errors, self._predictions
            rejections, recent = dict(self._rejections), len(self._recent)
            failed, microseconds = self._recent_failed, self._recent_microseconds
        drift = self.drift.stats
        yield _gauge("uptime_seconds", "Time since the process began to serve.", self.clock() - self.begun)
        yield _gauge(
            "availability_percent",
            f"Share of the last {RECENT} requests that were not answered with 5xx.",
            100 * (recent - failed) / recent if recent else 100.0,
        )
        yield CounterMetricFamily("requests_total", "Requests for predictions.", value=requests)
        yield CounterMetricFamily("errors_total", "Requests for predictions answered with 5xx.", value=errors)
        yield CounterMetricFamily("predictions_total", "Pictures identified.", value=predictions)
        yield CounterMetricFamily("rejections_total", "Pictures rejected.", value=sum(rejections.values()))
        # A gauge by type, because a counter's name would have to end in _total.
        by_reason = GaugeMetricFamily(
            "rejections_by_reason", "Pictures rejected, by reason; only ever grows.", labels=("reason",)
        )
        for reason, count in rejections.items():
            by_reason.add_metric((reason.value,), count)
        yield by_reason
        yield _gauge(
            "latency_avg_ms",
            f"Mean time to answer, over the last {RECENT} requests.",
            microseconds / 1000 / recent if recent else math.nan,
        )
        yield _gauge(
            "cetacean_score_avg",
            "Mean cetacean score over the drift window, as score_mean in /v1/drift-stats.",
            drift.score_mean,
        )
        if labels := self.info():
            yield InfoMetricFamily(f"{PREFIX}model", "The model that serves.", value=labels)
        yield _gauge(f"{PREFIX}drift_samples", "Predictions in the drift window.", drift.n)
        yield _gauge(f"{PREFIX}drift_score_mean", "Mean cetacean score over the drift window.", drift.score_mean)
        yield _gauge(
            f"{PREFIX}lifetime_score_mean",
            "Mean cetacean score of all predictions since the process started.",
            drift.lifetime_score_mean,
        )
        yield _gauge(f"{PREFIX}drift_baseline", "Mean cetacean score that is expected.", drift.baseline)
        yield _gauge(f"{PREFIX}drift_active", "1 while the mean is too far below the baseline.", float(drift.drifting))
        yield CounterMetricFamily(
            f"{PREFIX}drift_alarms_total", "Episodes of drift since the process started.", value=drift.alarms_total
        )
        yield CounterMetricFamily(
            f"{PREFIX}drift_adwin_changes_total",
            "Changes of the scores that ADWIN saw.",
            value=drift.adwin.changes_total,
        )


class _Figures(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.figures()


def _gauge(name: str, help_text: str, value: float | None) -> GaugeMetricFamily:
    """A gauge; what is not known is NaN, which Prometheus leaves out of sums and graphs."""
    return GaugeMetricFamily(name, help_text, value=math.nan if value is None else value)
