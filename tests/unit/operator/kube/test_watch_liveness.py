"""The age of each watch; after a fault: its log record, its counter and the pause."""

from __future__ import annotations

import logging

import pytest
from support.virtual_time import VirtualClock

from cetacean_operator.api.kinds import MODELS, PODS
from cetacean_operator.kube.watch_liveness import WatchLiveness
from cetacean_operator.metrics.collectors import Metrics


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def liveness(clock: VirtualClock, metrics: Metrics) -> WatchLiveness:
    return WatchLiveness(metrics, clock.time)


def age(metrics: Metrics, plural: str) -> float | None:
    return metrics.registry.get_sample_value("cetacean_operator_watch_age_seconds", {"resource": plural})


def faults(metrics: Metrics, reason: str) -> float | None:
    labels = {"resource": "pods", "reason": reason}
    return metrics.registry.get_sample_value("cetacean_operator_watch_faults_total", labels)


def test_each_watch_has_its_own_age_and_the_oldest_is_named(
    liveness: WatchLiveness, metrics: Metrics, clock: VirtualClock
) -> None:
    assert liveness.oldest() == ("", 0.0)
    sea, lake, models = (liveness.expect(PODS, "sea"), liveness.expect(PODS, "lake"), liveness.expect(MODELS, "sea"))
    clock.advance(5)
    sea.touch()
    models.touch()
    clock.advance(1)
    assert liveness.oldest() == ("pods in lake", 6.0)
    assert (age(metrics, "pods"), age(metrics, "cetaceanmodels")) == (6.0, 1.0)
    assert liveness.find(lake.path) is lake
    assert liveness.find("/apis") is None
    liveness.forget(lake)
    assert liveness.oldest() == ("pods in sea", 1.0)


def test_the_pause_grows_with_each_failure_until_an_event_comes(liveness: WatchLiveness) -> None:
    watch = liveness.expect(PODS, None)
    pauses = [watch.failed("Cut", "broken") for _ in range(12)]
    ceilings = [min(8.0, 0.25 * 2.0**failures) for failures in range(12)]
    assert all(top / 2 <= pause <= top for pause, top in zip(pauses, ceilings, strict=True))
    watch.progressed()
    assert watch.failed("Cut", "broken") <= 0.25


@pytest.mark.parametrize(("reason", "level"), [("Cut", logging.WARNING), ("Expired", logging.INFO)])
def test_a_fault_is_logged_and_counted_with_its_reason(
    liveness: WatchLiveness, metrics: Metrics, caplog: pytest.LogCaptureFixture, reason: str, level: int
) -> None:
    caplog.set_level(logging.INFO)
    liveness.expect(PODS, None).failed(reason, "so it was")
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (level, "watch of /api/v1/pods: so it was")
    assert (record.__dict__["resource"], record.__dict__["reason"]) == ("pods", reason)
    assert faults(metrics, reason) == 1.0


@pytest.mark.parametrize("status", [403, 404])
def test_a_forbidden_or_absent_namespace_is_logged_once_and_its_age_does_not_count(
    liveness: WatchLiveness,
    metrics: Metrics,
    clock: VirtualClock,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    watch = liveness.expect(PODS, "gone")
    for _ in range(3):
        clock.advance(9)
        watch.rejected(status, f"{status} so")
    (record,) = caplog.records
    assert f"{status} so: namespace gone" in record.getMessage()
    assert faults(metrics, "Refused") == 3.0
    assert (liveness.oldest(), age(metrics, "pods")) == (("", 0.0), 0.0)
    watch.touch()
    clock.advance(9)
    assert liveness.oldest() == ("pods in gone", 9.0), "an answer counts the namespace again"
    watch.rejected(status, "so")
    assert len(caplog.records) == 2, "a refusal after an answer is logged again"


@pytest.mark.parametrize(("namespace", "status"), [(None, 403), (None, 404), ("sea", 500)])
def test_after_any_other_refusal_the_age_counts(
    liveness: WatchLiveness, clock: VirtualClock, namespace: str | None, status: int
) -> None:
    watch = liveness.expect(PODS, namespace)
    clock.advance(9)
    watch.rejected(status, "so")
    assert liveness.oldest()[1] == 9.0
