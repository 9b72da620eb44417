"""Prometheus metrics of one app: the previous service's names unchanged, and further histograms and gauges.

Every app has its own registry. Only requests for predictions count, not probes and scrapes.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector
from prometheus_client import Counter as Counted
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from cetacean_inference.decision import Detection, RejectionReason
from cetacean_inference.monitoring.answer_window import EDGES
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.recent_requests import RECENT, RecentRequests
from cetacean_inference.monitoring.species_names import SpeciesNames
from cetacean_inference.system.start_times import StartPart
from cetacean_inference.types import NetworkName, RejectedEngine

MaskOutcome = Literal["made", "full", "late", "failed", "large"]
PREFIX: Final = "cetacean_inference_"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds of each stage of one picture, and the number of pictures in its batch."""

    prepare: float
    """Reading, decoding and resizing."""
    queue: float
    """Waiting for the model."""
    predict: float
    batch_size: int

    @property
    def predict_per_picture(self) -> float:
        """Seconds of the networks for one picture of the batch."""
        return self.predict / self.batch_size


class Metrics:
    """Counters, gauges and histograms of one app; every method is thread safe.

    Args:
        drift: gives the drift window.
        info: returns the labels of the served model; None while none is loaded.
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
        self._recent = RecentRequests()
        self.in_flight: Final = Gauge(
            f"{PREFIX}requests_in_flight", "Requests for predictions in progress.", registry=self.registry
        )
        self.queue_depth: Final = Gauge(
            f"{PREFIX}queue_depth", "Pictures that are admitted and not yet answered.", registry=self.registry
        )
        self.upload_bytes: Final = Gauge(
            f"{PREFIX}upload_bytes", "Bytes of request bodies held or announced.", registry=self.registry
        )
        self.connections_closed: Final = Counted(
            f"{PREFIX}connections_closed",
            "Connections closed because one more was opened than the service keeps (`CETACEAN_HTTP__MAX_CONNECTIONS`).",
            registry=self.registry,
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
            "Time of each stage of a picture.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            f"{PREFIX}batch_size",
            "Pictures in a batch.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self._scores = Histogram(
            f"{PREFIX}cetacean_score",
            "Cetacean score of each picture that could be decoded.",
            buckets=EDGES,
            registry=self.registry,
        )
        self._top_probabilities = Histogram(
            f"{PREFIX}top_probability",
            "Probability of the likeliest individual, of each picture that the gate accepted.",
            buckets=EDGES,
            registry=self.registry,
        )
        self._species_names = SpeciesNames()
        self._species = Counted(
            f"{PREFIX}species",
            "Pictures that the gate accepted, by the species named; after 64 species all others are `other`.",
            ("species",),
            registry=self.registry,
        )
        self._shadow_requests = Counted(
            f"{PREFIX}shadow_requests",
            "Pictures that other pods asked about to compare models; no client's, and counted nowhere else.",
            ("status",),
            registry=self.registry,
        )
        self._masks = Counted(
            f"{PREFIX}masks",
            "Masks by outcome: made, or null because the queue was full, or the mask was late, failed or too large.",
            ("outcome",),
            registry=self.registry,
        )
        self._rejected_engine = Gauge(
            f"{PREFIX}engine_passed_over",
            "1 for a faster engine that is not used: absent, failed, or disagrees with torch-eager.",
            ("engine", "network", "reason"),
            registry=self.registry,
        )
        self._engine_picture = Gauge(
            f"{PREFIX}engine_picture_seconds",
            "Time for one picture, of each engine that may compute the network, as measured once on this processor.",
            ("engine", "network"),
            registry=self.registry,
        )
        self._start = Gauge(
            f"{PREFIX}start_seconds",
            "Time of each part of the start: process (until the weights load), verify, convert, load, warm_up.",
            ("part",),
            registry=self.registry,
        )
        self.registry.register(_ComputedMetrics(self))
        ProcessCollector(registry=self.registry)

    def set_rejected_engines(self, engines: Iterable[RejectedEngine]) -> None:
        """Set the gauge of each faster engine that is not used."""
        for one in engines:
            self._rejected_engine.labels(one.engine, one.network, one.reason).set(1)

    def set_engine_times(self, times_ms: Mapping[NetworkName, Mapping[str, float]]) -> None:
        """Set the gauge of each engine that was timed, in milliseconds for one picture."""
        for network, times in times_ms.items():
            for engine, milliseconds in times.items():
                self._engine_picture.labels(engine, network).set(milliseconds / 1e3)

    def set_start_times(self, seconds: Mapping[StartPart, float]) -> None:
        """Set the gauge of each part of the start."""
        for part, spent in seconds.items():
            self._start.labels(part).set(spent)

    def observe_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request for predictions; `endpoint` becomes a label and must be one of a few."""
        failed = status >= 500
        self._duration.labels(endpoint, str(status)).observe(seconds)
        with self._lock:
            self._requests += 1
            self._errors += failed
            self._recent.add(failed=failed, seconds=seconds)

    def count_shadow_request(self, status: int) -> None:
        """Count a request of another pod that compares models."""
        self._shadow_requests.labels(str(status)).inc()

    def count_detection(self, detection: Detection) -> None:
        """Count the answer for one picture, by its rejection reason."""
        with self._lock:
            if detection.rejection_reason is None:
                self._predictions += 1
            else:
                self._rejections[detection.rejection_reason] += 1
            species = self._species_names.bounded(detection.id_animal) if detection.is_cetacean else ""
        if detection.rejection_reason is not RejectionReason.CORRUPTED_IMAGE:
            self._scores.observe(detection.cetacean_score)
        if detection.is_cetacean:
            self._top_probabilities.observe(detection.probability)
            self._species.labels(species).inc()

    def observe_stages(self, stages: StageTimes) -> None:
        """Record the stage times of one picture."""
        for stage, seconds in (("prepare", stages.prepare), ("queue", stages.queue), ("predict", stages.predict)):
            self._stages.labels(stage).observe(seconds)

    def observe_mask(self, outcome: MaskOutcome, *, seconds: float | None = None) -> None:
        """Count a mask by its outcome; `seconds` is the time of one that was made."""
        self._masks.labels(outcome).inc()
        if seconds is not None:
            self._stages.labels("mask").observe(seconds)

    def observe_batch(self, size: int) -> None:
        """Record the size of a batch."""
        self._batches.observe(size)

    def collect(self) -> Iterator[Metric]:
        """Yield the previous service's metrics, then the model's and the drift window's."""
        with self._lock:
            requests, errors, predictions = self._requests, self._errors, self._predictions
            rejections = dict(self._rejections)
            availability, latency = self._recent.availability_percent, self._recent.mean_milliseconds
        drift = self.drift.stats
        yield _gauge("uptime_seconds", "Time since the process began to serve.", self.clock() - self.begun)
        yield _gauge(
            "availability_percent",
            f"Share of the last {RECENT} requests that were not answered with 5xx.",
            availability,
        )
        yield CounterMetricFamily("requests_total", "Requests for predictions.", value=requests)
        yield CounterMetricFamily("errors_total", "Requests for predictions answered with 5xx.", value=errors)
        yield CounterMetricFamily("predictions_total", "Pictures identified.", value=predictions)
        yield CounterMetricFamily("rejections_total", "Pictures rejected.", value=sum(rejections.values()))
        # Its type is gauge because a counter's name would have to end in _total.
        by_reason = GaugeMetricFamily(
            "rejections_by_reason", "Pictures rejected, by reason; only ever grows.", labels=("reason",)
        )
        for reason, count in rejections.items():
            by_reason.add_metric((reason.value,), count)
        yield by_reason
        yield _gauge(
            "latency_avg_ms",
            f"Mean time to answer, over the last {RECENT} requests.",
            latency,
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
        yield _gauge(f"{PREFIX}drift_baseline", "Expected mean cetacean score.", drift.baseline)
        yield _gauge(f"{PREFIX}drift_active", "1 while the mean is too far below the baseline.", float(drift.drifting))
        answers = drift.answers
        yield _gauge(
            f"{PREFIX}low_confidence_rate",
            "Share of the newest pictures that the gate accepted and that were rejected as low_confidence.",
            answers.low_confidence / answers.identified if answers.identified else None,
        )
        yield CounterMetricFamily(
            f"{PREFIX}drift_alarms_total", "Episodes of drift since the process started.", value=drift.alarms_total
        )
        yield CounterMetricFamily(
            f"{PREFIX}drift_adwin_changes_total",
            "Changes of the scores that ADWIN detected.",
            value=drift.adwin.changes_total,
        )


class _ComputedMetrics(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


def _gauge(name: str, help_text: str, value: float | None) -> GaugeMetricFamily:
    """Make a gauge; None becomes NaN, which graphs leave out."""
    return GaugeMetricFamily(name, help_text, value=math.nan if value is None else value)
