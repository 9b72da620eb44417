"""The names of all series that the operator and the pods export, and of those in a PromQL expression."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client.registry import CollectorRegistry

from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.metrics import Metrics as InferenceMetrics
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.settings import DriftSettings
from cetacean_operator.metrics.collectors import Metrics as OperatorMetrics

_WORDS = frozenset(
    [
        "absent",
        "and",
        "avg",
        "by",
        "count",
        "histogram_quantile",
        "increase",
        "ignoring",
        "max",
        "min",
        "offset",
        "on",
        "or",
        "rate",
        "sum",
        "unless",
        "vector",
    ]
)


def _series(registry: CollectorRegistry) -> set[str]:
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
    families = list(registry.collect())
    # A sample may have another name than its family.
    given = {sample.name for family in families for sample in family.samples}
    return given | {family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))}


@cache
def known_series() -> frozenset[str]:
    """Return every name, also of series that have no value yet."""
    drift = DriftMonitor(model="m", settings=DriftSettings(), monitoring=Monitoring())
    inference = InferenceMetrics(drift=drift, info=lambda: {"name": "m"})
    return frozenset(_series(inference.registry) | _series(OperatorMetrics().registry))


def series_in(expr: str) -> set[str]:
    """Return the names of series in an expression, without labels, functions and durations."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|ignoring) *\([^)]*\)|offset \w+", " ", expr)
    return set(re.findall(r"[a-z_]{2,}", bare)) - _WORDS
