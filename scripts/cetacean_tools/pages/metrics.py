"""Print docs/metrics.md: every metric of the operator and the inference service, read from their registries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from cetacean_inference.monitoring.feedback_metrics import FeedbackCollector
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import load_settings
from cetacean_inference.types import ServedIdentity
from cetacean_operator.metrics.collectors import Metrics as OperatorMetrics
from cetacean_operator.metrics.model_series import ModelSeries
from cetacean_tools.pages.markdown import code, head, table

COLUMNS: Final = ("Metric", "Type", "Labels", "Meaning")
PROCESS: Final = ("process_", "python_")
"""Prefixes of prometheus-client's own metrics of the process."""


def document() -> str:
    """Return the content of the page."""
    logging.getLogger("cetacean_inference").addHandler(logging.NullHandler())  # there is no monitoring file here
    service = Service(load_settings(model={"name": "n", "version": "v", "weights_url": "file:///"}))
    service.identity = replace(service.identity, served=ServedIdentity("", "", "", {}))  # shows the model's labels
    sections = (
        ("Inference service", head("metrics-inference"), service.metrics.registry),
        ("Operator", head("metrics-operator"), OperatorMetrics().registry),
    )
    tables = (f"\n## {title}\n\n{text}\n{table(COLUMNS, _rows(registry))}" for title, text, registry in sections)
    return head("metrics") + "".join(tables)


def _rows(registry: CollectorRegistry) -> Iterator[tuple[str, ...]]:
    declared = _declared(registry)
    for metric in registry.collect():
        if not metric.name.startswith(PROCESS):
            shown = dict.fromkeys(label for sample in metric.samples for label in sample.labels)
            # prometheus-client leaves out the ending, which a query needs.
            name = code(metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, ""))
            yield name, metric.type, ", ".join(map(code, declared.get(metric.name, shown))), metric.documentation
    yield code("process_…") + ", " + code("python_…"), "", "", "Measured by prometheus-client in any process."


def _declared(registry: CollectorRegistry) -> dict[str, tuple[str, ...]]:
    """Return the declared labels by metric: a metric without samples shows none. Labels have no public list."""
    collectors: Any = registry._collector_to_names  # noqa: SLF001 -- the registry has no public list of collectors
    return {
        metric.name: tuple(vars(collector if isinstance(collector, MetricWrapperBase) else metric)["_labelnames"])
        for collector in collectors
        if isinstance(collector, MetricWrapperBase | ModelSeries | FeedbackCollector)
        for metric in collector.describe()
    }


if __name__ == "__main__":
    print(document(), end="")
