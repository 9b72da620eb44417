"""Availability and response times of a pod, from its metrics: the window, restarts, and values that are ignored."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from support.pods import COUNTERS, pod_manifest, running_status
from support.reconciler_bench import Bench

from cetacean_inference.http.middleware import BATCH, SINGLE
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.metrics import Metrics
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.monitoring.recent_requests import RECENT
from cetacean_inference.settings import DriftSettings
from cetacean_operator.api import names
from cetacean_operator.api.observed import Pod
from cetacean_operator.kube.store import Store
from cetacean_operator.pods.pod_responses import DriftStats, parse_metrics
from cetacean_operator.pods.scrape import Scrape
from cetacean_operator.reconcile.observe import Observer

KEY = ("sea", "whales")
SERIES = "cetacean_inference_request_duration_seconds_bucket"


def exposition(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


class ScrapedPod:
    """One pod of the store, and its last scrape."""

    def __init__(self) -> None:
        self.store = Store(lambda obj: "whales")
        self.scrape: Scrape | None = None
        self.observer = Observer(self.store, lambda _uid: self.scrape)
        self.start_container(1)

    def start_container(self, number: int) -> None:
        status = running_status("10.0.0.1", container_id=f"containerd://{number}")
        self.store.put(pod_manifest(version=number, status=status))

    def answer(self, fast: float, slow: float, *, window: int = 100, **more: Any) -> Pod:
        self.scrape = Scrape(
            drift_stats=DriftStats(),
            metrics={**COUNTERS, "requests_total": fast + slow, "availability_percent": 99.0},
            durations=((1.0, fast), (math.inf, fast + slow)),
            **more,
        )
        return self.observe(window=window)

    def observe(self, *, window: int = 100) -> Pod:
        (pod,) = self.observer.observe(KEY, window=1000, answers=window).pods
        return pod


def durations(pod: Pod) -> tuple[tuple[float, float], ...]:
    assert pod.service is not None
    return pod.service.durations


def test_only_successful_predictions_of_single_pictures_are_timed() -> None:
    single, batch = 'endpoint="/v1/predict-single"', 'endpoint="/v1/predict-batch"'
    figures = parse_metrics(
        exposition(
            "requests_total 12",
            "predictions_total 0",
            "rejections_total 0",
            "errors_total 0",
            f'{SERIES}{{{single},le="2.0",status="200"}} 3',
            f'{SERIES}{{{single},le="0.5",status="200"}} 1',
            f'{SERIES}{{{single},le="+Inf",status="200"}} 4',
            f'{SERIES}{{{single},le="0.5",status="503"}} 70',
            f'{SERIES}{{{batch},le="0.5",status="200"}} 9',
        )
    )
    assert figures.durations == ((0.5, 1.0), (2.0, 3.0), (math.inf, 4.0))
    assert figures.plain == {**COUNTERS, "requests_total": 12.0}


def test_the_operator_reads_the_metrics_that_the_service_exports() -> None:
    drift = DriftMonitor(model="tiny", settings=DriftSettings(), monitoring=Monitoring())
    service = Metrics(drift=drift, info=lambda: None)
    for endpoint, status, seconds in ((SINGLE, 200, 0.3), (SINGLE, 200, 1.8), (SINGLE, 503, 0.001), (BATCH, 200, 40.0)):
        service.observe_request(endpoint, status, seconds)
    figures = parse_metrics(generate_latest(service.registry))
    assert figures.plain["requests_total"] == 4.0
    assert figures.plain["availability_percent"] == 75.0
    grown = dict(figures.durations)
    assert (grown[0.25], grown[0.5], grown[1.5], grown[2.0], grown[math.inf]) == (0.0, 1.0, 1.0, 2.0, 2.0)
    assert names.RECENT_REQUESTS == RECENT


def test_response_times_are_about_the_newest_answers() -> None:
    pod = ScrapedPod()
    pod.answer(0, 0)
    for total in range(10, 1001, 10):
        pod.answer(total, 0)
    for slow in range(10, 101, 10):
        found = pod.answer(1000, slow)
    (_, fast), (_, answers) = durations(found)
    assert 100 <= answers <= 120
    assert fast / answers < 0.2


def test_answers_from_before_the_operators_start_are_not_counted() -> None:
    pod = ScrapedPod()
    assert durations(pod.answer(0, 1_000_000)) == ((1.0, 0.0), (math.inf, 0.0))
    assert durations(pod.answer(60, 1_000_000)) == ((1.0, 60.0), (math.inf, 60.0))


def test_a_restarted_process_is_counted_from_its_start() -> None:
    pod = ScrapedPod()
    pod.answer(0, 90)
    assert durations(pod.answer(20, 0)) == ((1.0, 20.0), (math.inf, 20.0)), "the counters have fallen"
    pod.start_container(2)
    assert durations(pod.answer(50, 5)) == ((1.0, 50.0), (math.inf, 55.0)), (
        "it is another container, although no counter has fallen"
    )


def test_a_failed_scrape_does_not_count_as_a_restart() -> None:
    pod = ScrapedPod()
    pod.answer(5000, 0)
    pod.answer(5000, 50)
    pod.scrape = Scrape(drift_stats=DriftStats(10), error="/metrics: expected status 200, got 500")
    found = pod.observe()
    assert found.service is None
    assert found.drift is None
    assert durations(pod.answer(5000, 60)) == ((1.0, 0.0), (math.inf, 60.0))


def test_availability_is_about_the_last_thousand_requests_at_most() -> None:
    pod = ScrapedPod()
    for given_, weight in ((40, 40.0), (5000, 1000.0)):
        service = pod.answer(given_, 0).service
        assert service is not None
        assert (service.requests, service.availability_percent) == (weight, 99.0)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=100), st.integers(1, 500))
def test_the_growth_of_the_buckets_is_a_histogram_that_covers_the_window(
    steps: list[tuple[int, int]], window: int
) -> None:
    pod = ScrapedPod()
    pod.answer(0, 0, window=window)
    fast, slow = (list(accumulate(part)) for part in zip(*steps, strict=True)) if steps else ([], [])
    for one, other in zip(fast, slow, strict=True):
        found = durations(pod.answer(one, other, window=window))
        assert all(0 <= low[1] <= high[1] for low, high in pairwise(found))
        assert found[-1][1] >= min(window, one + other)


async def test_conditions_and_series_follow_the_metrics_of_pods(serving: Bench) -> None:
    def value(figure: str) -> float | None:
        labels = {"namespace": "sea", "name": "whales", "figure": figure}
        return serving.metrics.registry.get_sample_value("cetacean_model_service", labels)

    (uid,) = serving.scraper.results
    assert value("p95Seconds") is None
    serving.scraper.results[uid] = replace(
        serving.scraper.results[uid],
        metrics={**COUNTERS, "requests_total": 100.0, "availability_percent": 90.0},
        durations=((2.0, 50.0), (4.0, 100.0), (math.inf, 100.0)),
    )
    await serving.reconcile()
    assert serving.condition("LowAvailability")["status"] == serving.condition("HighLatency")["status"] == "True"
    assert (value("availabilityPercent"), value("p95Seconds")) == (90.0, 3.8)
    reasons = {obj["reason"] for (kind, _, _), obj in serving.api.objects.items() if kind == "Event"}
    assert {"LowAvailability", "HighLatency"} <= reasons


async def test_the_drift_series_follow_the_scrapes_and_count_silent_pods(serving: Bench) -> None:
    def value(figure: str) -> float | None:
        labels = {"namespace": "sea", "name": "whales", "figure": figure}
        return serving.metrics.registry.get_sample_value("cetacean_model_drift", labels)

    (uid,) = serving.scraper.results
    drifted = replace(
        serving.scraper.results[uid],
        drift_stats=DriftStats(100, 2, 0.75),
        metrics={**COUNTERS, "predictions_total": 80.0, "rejections_total": 20.0, "cetacean_score_avg": 0.75},
        rejections={"not_a_marine_mammal": 15.0},
    )
    serving.scraper.results[uid] = drifted
    await serving.reconcile()
    values = [value(figure) for figure in ("samples", "mean", "baseline", "drop", "rejectionRate", "alarms")]
    assert values == [100.0, 0.75, 0.9, 0.15, 0.15, 2.0]
    assert (value("podsScraped"), value("podsSilent")) == (1.0, 0.0)
    serving.scraper.results[uid] = Scrape(error="no answer within 3 s")
    await serving.reconcile()
    assert (value("podsScraped"), value("podsSilent")) == (0.0, 1.0)
    assert serving.condition("Drifting")["status"] == "True", "the alarm is held while no pod answers"


def test_a_pod_reports_no_more_samples_than_its_window_holds() -> None:
    """Else one pod could outweigh all others in the pooled mean."""
    pod = ScrapedPod()
    pod.scrape = Scrape(drift_stats=DriftStats(2**50, 0, 0.1), metrics={**COUNTERS, "predictions_total": 1.0})
    report = pod.observe(window=100).drift
    assert report is not None
    assert report.samples == 1000
