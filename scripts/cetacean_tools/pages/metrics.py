"""Print docs/metrics.md: every metric of the operator and the inference service, read from their registries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.feedback import FeedbackCounts
from cetacean_inference.monitoring.feedback_metrics import FeedbackCollector
from cetacean_inference.monitoring.metrics import Metrics as InferenceMetrics
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.settings import DriftSettings
from cetacean_operator.metrics.collectors import Metrics as OperatorMetrics
from cetacean_operator.metrics.model_series import ModelSeries
from cetacean_tools.pages.markdown import code, head, table

COLUMNS: Final = ("Metric", "Type", "Labels", "Meaning")
PROCESS: Final = ("process_", "python_")
"""Prefixes of prometheus-client's own metrics of the process."""
MODEL_INFO: Final = ("name", "version", "sha256", "engine", "threshold")
"""Labels of `cetacean_inference_model_info`, which exists only while a model serves."""


def document() -> str:
    """Return the content of the page."""
    drift = DriftMonitor(model="", settings=DriftSettings(), monitoring=Monitoring())
    inference = InferenceMetrics(drift=drift, info=lambda: dict.fromkeys(MODEL_INFO, ""))
    inference.registry.register(FeedbackCollector(FeedbackCounts("")))
    sections = (
        ("Inference service", head("metrics-inference"), inference.registry),
        ("Operator", head("metrics-operator"), OperatorMetrics().registry),
    )
    tables = (f"\n## {title}\n\n{text}\n{table(COLUMNS, _rows(registry))}" for title, text, registry in sections)
    return head("metrics") + "".join(tables)


def _rows(registry: CollectorRegistry) -> Iterator[tuple[str, ...]]:
    declared = _declared(registry)
    for metric in registry.collect():
        if not metric.name.startswith(PROCESS):
            labels = declared.get(metric.name, _shown(metric))
            yield code(_exported(metric)), metric.type, ", ".join(code(label) for label in labels), metric.documentation
    yield code("process_…") + ", " + code("python_…"), "", "", "Measured by prometheus-client in any process."


def _declared(registry: CollectorRegistry) -> dict[str, tuple[str, ...]]:
    """Return the declared labels by metric: a metric without samples shows none."""
    collectors: Any = registry._collector_to_names  # noqa: SLF001 -- the registry has no public list of collectors
    return {
        metric.name: _labels(collector if isinstance(collector, MetricWrapperBase) else metric)
        for collector in collectors
        if isinstance(collector, MetricWrapperBase | ModelSeries | FeedbackCollector)
        for metric in collector.describe()
    }


def _labels(declared: Any) -> tuple[str, ...]:
    """Return the label names of a collector, or of one family of a collector that has several."""
    return tuple(declared._labelnames)  # noqa: SLF001 -- neither has a public list of them


def _shown(metric: Metric) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for sample in metric.samples for label in sample.labels))


def _exported(metric: Metric) -> str:
    """Return the name that a query uses; prometheus-client leaves out the ending."""
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


if __name__ == "__main__":
    print(document(), end="")
