"""The operator's own metrics, in a registry of their own; label sets are bounded by what exists."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from cetacean_operator.metrics.model_series import ModelSeries

_PREFIX = "cetacean_operator"


class Metrics:
    """Collectors under the prefixes `cetacean_operator_` (the process) and `cetacean_model_` (a resource)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Create all collectors in `registry`, or in a new one."""
        self.registry = registry or CollectorRegistry()
        r = self.registry
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)
        GCCollector(registry=r)
        self.reconcile_seconds = Histogram(
            f"{_PREFIX}_reconcile_duration_seconds",
            "Time of one reconcile, from observing to the last write.",
            ["result"],
            registry=r,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
        )
        self.reconcile_errors = Counter(
            f"{_PREFIX}_reconcile_errors_total", "Failed reconciles.", ["reason"], registry=r
        )
        self.queue_depth = Gauge(f"{_PREFIX}_queue_depth", "Resources waiting for a worker.", registry=r)
        self.queue_age = Gauge(
            f"{_PREFIX}_queue_oldest_seconds", "How long the longest waiting resource has waited.", registry=r
        )
        self.queue_adds = Counter(f"{_PREFIX}_queue_adds_total", "Requests to reconcile.", registry=r)
        self.queue_retries = Counter(f"{_PREFIX}_queue_retries_total", "Repeats after a failure.", registry=r)
        self.queue_wait = Histogram(
            f"{_PREFIX}_queue_wait_seconds",
            "Time from a resource's becoming due to its reconcile.",
            registry=r,
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120),
        )
        self.watch_age = Gauge(
            f"{_PREFIX}_watch_age_seconds", "Time since a watch last carried anything.", ["resource"], registry=r
        )
        self.watch_faults = Counter(
            f"{_PREFIX}_watch_faults_total",
            "Watches that failed and were opened again: Cut, TornEvent, ErrorEvent, Expired, Silent or Refused.",
            ["resource", "reason"],
            registry=r,
        )
        self.relists = Counter(
            f"{_PREFIX}_relists_total",
            "Lists of a kind: at start, and after a watch has expired.",
            ["resource"],
            registry=r,
        )
        self.repairs = Counter(
            f"{_PREFIX}_cache_repairs_total",
            "Deletions that a watch missed and a list found.",
            ["resource"],
            registry=r,
        )
        self.unreadable_objects = Counter(
            f"{_PREFIX}_unreadable_objects_total", "Objects that could not be parsed.", ["resource"], registry=r
        )
        self.api_requests = Counter(
            f"{_PREFIX}_api_requests_total", "Requests to the API server.", ["verb", "code"], registry=r
        )
        self.scrapes = Counter(f"{_PREFIX}_scrapes_total", "Scrapes of pods, by result.", ["result"], registry=r)
        self.leader = Gauge(f"{_PREFIX}_leader", "1 while this process holds the lease.", registry=r)

        self.models = ModelSeries()
        r.register(self.models)

    def bind(self, *, depth: Callable[[], float], age: Callable[[], float]) -> None:
        """Read the queue's gauges at scrape time from `depth` (resources) and `age` (seconds)."""
        self.queue_depth.set_function(depth)
        self.queue_age.set_function(age)
