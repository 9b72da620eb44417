"""Names, types and values of /metrics."""

from __future__ import annotations

import math

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cetacean_inference.decision import Detection, RejectionReason
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.metrics import Metrics, StageTimes
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.monitoring.recent_requests import RECENT
from cetacean_inference.settings import DriftSettings

OLD_NAMES = {
    "uptime_seconds": "gauge",
    "availability_percent": "gauge",
    "requests_total": "counter",
    "errors_total": "counter",
    "predictions_total": "counter",
    "rejections_total": "counter",
    "rejections_by_reason": "gauge",
    "latency_avg_ms": "gauge",
    "cetacean_score_avg": "gauge",
}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def drift() -> DriftMonitor:
    return DriftMonitor(model="tiny", settings=DriftSettings(), monitoring=Monitoring(baselines={"tiny": 0.9}))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(drift: DriftMonitor, clock: Clock) -> Metrics:
    return Metrics(drift=drift, info=lambda: {"name": "tiny", "sha256": "ab"}, clock=clock)


def exposition(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def samples(metrics: Metrics) -> dict[str, float]:
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition(metrics))
        for sample in family.samples
    }


def detection(
    reason: RejectionReason | None, *, score: float = 0.9, probability: float = 0, species: str = ""
) -> Detection:
    return Detection(
        image_ind="a.jpg",
        bbox=(0, 0, 1, 1),
        class_animal="",
        id_animal=species,
        probability=probability,
        is_cetacean=reason in (None, RejectionReason.LOW_CONFIDENCE),
        cetacean_score=score,
        rejected=reason is not None,
        rejection_reason=reason,
        model_version="1",
    )


def test_the_previous_services_names_have_the_same_type_and_a_help_text(metrics: Metrics) -> None:
    lines = exposition(metrics).splitlines()
    for name, kind in OLD_NAMES.items():
        assert f"# TYPE {name} {kind}" in lines
        assert any(line.startswith(f"# HELP {name} ") for line in lines)
        assert any(line.split("{")[0].split(" ")[0] == name for line in lines), name


def test_every_rejection_reason_is_zero_at_the_start(metrics: Metrics) -> None:
    found = samples(metrics)
    assert {name: value for name, value in found.items() if name.startswith("rejections_by_reason")} == {
        "rejections_by_reason not_a_marine_mammal": 0,
        "rejections_by_reason low_confidence": 0,
        "rejections_by_reason corrupted_image": 0,
    }


def test_values_before_the_first_request(metrics: Metrics, clock: Clock) -> None:
    clock.now += 7
    found = samples(metrics)
    assert found["uptime_seconds"] == 7
    assert found["availability_percent"] == 100
    assert found["requests_total"] == found["errors_total"] == found["predictions_total"] == 0
    assert math.isnan(found["latency_avg_ms"])
    assert math.isnan(found["cetacean_score_avg"])


def test_only_5xx_statuses_count_as_errors(metrics: Metrics) -> None:
    for status in (200, 400, 415, 429, 499, 500, 503, 504):
        metrics.observe_request("/v1/predict-single", status, 0.1)
    found = samples(metrics)
    assert found["requests_total"] == 8
    assert found["errors_total"] == 3
    assert found["availability_percent"] == 62.5
    assert found["latency_avg_ms"] == pytest.approx(100)
    assert found["cetacean_inference_request_duration_seconds_count /v1/predict-single 503"] == 1


def test_availability_and_latency_cover_the_last_requests_only(metrics: Metrics) -> None:
    for _ in range(RECENT):
        metrics.observe_request("/v1/predict-single", 500, 9.0)
    for _ in range(RECENT):
        metrics.observe_request("/v1/predict-single", 200, 0.25)
    found = samples(metrics)
    assert found["availability_percent"] == 100
    assert found["latency_avg_ms"] == 250
    assert found["errors_total"] == RECENT


def test_predictions_and_rejections_are_counted_separately(metrics: Metrics) -> None:
    for reason in (None, None, RejectionReason.LOW_CONFIDENCE, RejectionReason.NOT_A_MARINE_MAMMAL):
        metrics.count_detection(detection(reason))
    found = samples(metrics)
    assert found["predictions_total"] == 2
    assert found["rejections_total"] == 2
    assert found["rejections_by_reason low_confidence"] == 1
    assert found["rejections_by_reason not_a_marine_mammal"] == 1


def test_scores_and_species_are_counted_for_the_pictures_that_have_them(metrics: Metrics) -> None:
    for number in range(70):
        metrics.count_detection(detection(None, probability=0.5, species=f"species-{number}"))
    metrics.count_detection(detection(RejectionReason.LOW_CONFIDENCE, probability=0.01, species="species-0"))
    metrics.count_detection(detection(RejectionReason.NOT_A_MARINE_MAMMAL, score=0.1))
    metrics.count_detection(detection(RejectionReason.CORRUPTED_IMAGE, score=0))
    found = samples(metrics)
    assert found["cetacean_inference_cetacean_score_count"] == 72, "a corrupted picture has no score"
    assert found["cetacean_inference_cetacean_score_bucket 0.1"] == 1
    assert found["cetacean_inference_top_probability_count"] == 71, "the gate's rejections are not identified"
    assert found["cetacean_inference_top_probability_bucket 0.05"] == 1
    assert found["cetacean_inference_species_total species-0"] == 2
    assert found["cetacean_inference_species_total other"] == 6
    assert len([name for name in found if name.startswith("cetacean_inference_species_total ")]) == 65


def test_the_rate_of_low_confidence_is_that_of_the_newest_accepted_pictures(
    metrics: Metrics, drift: DriftMonitor
) -> None:
    assert math.isnan(samples(metrics)["cetacean_inference_low_confidence_rate"])
    drift.record(0.1, 0.0)
    for low in (True, False, False, False):
        drift.record(0.9, 0.5, species="orca", low_confidence=low)
    assert samples(metrics)["cetacean_inference_low_confidence_rate"] == 0.25


def test_the_average_score_is_that_of_the_drift_window(metrics: Metrics, drift: DriftMonitor) -> None:
    drift.configure(Monitoring(window=2, min_samples=2, baselines={"tiny": 0.9}))
    for score in (0.1, 0.1, 0.8, 0.9):
        drift.record(score, 0.5)
    found = samples(metrics)
    assert found["cetacean_score_avg"] == found["cetacean_inference_drift_score_mean"] == 0.85
    assert found["cetacean_inference_lifetime_score_mean"] == 0.475
    assert found["cetacean_inference_drift_samples"] == 2
    assert found["cetacean_inference_drift_baseline"] == 0.9
    assert found["cetacean_inference_drift_alarms_total"] == 1


def test_stage_times_batch_sizes_and_the_model_are_exposed(metrics: Metrics) -> None:
    metrics.observe_stages(StageTimes(prepare=0.1, queue=0.2, predict=0.3, batch_size=3))
    metrics.observe_batch(3)
    found = samples(metrics)
    assert found["cetacean_inference_stage_duration_seconds_sum queue"] == pytest.approx(0.2)
    assert found["cetacean_inference_batch_size_bucket 2.0"] == 0
    assert found["cetacean_inference_batch_size_bucket 4.0"] == 1
    assert found["cetacean_inference_model_info tiny ab"] == 1


def test_every_app_has_its_own_registry(drift: DriftMonitor) -> None:
    first, second = (Metrics(drift=drift, info=lambda: None) for _ in range(2))
    first.observe_request("/v1/predict-single", 200, 0.1)
    assert samples(first)["requests_total"] == 1
    assert samples(second)["requests_total"] == 0
    assert "cetacean_inference_model_info" not in exposition(second)
