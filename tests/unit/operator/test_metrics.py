"""The series of a resource are removed with it, so that their number stays bounded."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.metrics.model_series import CONDITION, INFO


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"namespace": "sea", "name": "whales", **labels})


def test_series_with_former_label_values_are_removed(metrics: Metrics) -> None:
    first, second = ("a", "1.0.0", "x"), ("b", "1.1.0", "y")
    metrics.models.set("sea", "whales", {(INFO, first): 1.0})
    metrics.models.set("sea", "whales", {(INFO, second): 1.0})
    assert value(metrics, "cetacean_model_info", model="a", version="1.0.0", active_digest="x") is None
    assert value(metrics, "cetacean_model_info", model="b", version="1.1.0", active_digest="y") == 1.0


def test_a_forgotten_resource_has_no_series(metrics: Metrics) -> None:
    before = generate_latest(metrics.registry).count(b"whales")
    metrics.models.set("sea", "whales", {(CONDITION, ("Ready",)): 1.0})
    metrics.models.set("sea", "others", {(CONDITION, ("Ready",)): 0.0})
    metrics.models.forget("sea", "whales")
    assert generate_latest(metrics.registry).count(b"whales") == before == 0
    assert b"others" in generate_latest(metrics.registry)


def test_forgetting_an_unknown_resource_is_no_error(metrics: Metrics) -> None:
    metrics.models.forget("sea", "nobody")


def test_the_queue_is_read_at_each_collection(metrics: Metrics) -> None:
    depth = [3.0]
    metrics.bind(depth=lambda: depth[0], age=lambda: 7.0)
    assert metrics.registry.get_sample_value("cetacean_operator_queue_depth") == 3.0
    depth[0] = 4.0
    assert metrics.registry.get_sample_value("cetacean_operator_queue_depth") == 4.0
    assert metrics.registry.get_sample_value("cetacean_operator_queue_oldest_seconds") == 7.0


def test_each_metrics_object_has_its_own_registry() -> None:
    assert Metrics().registry is not Metrics().registry
