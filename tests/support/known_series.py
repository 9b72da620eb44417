"""The names of all series that the operator and the pods export, and of those in a PromQL expression."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client.registry import CollectorRegistry

from cetacean_inference.serving.service import Service
from cetacean_inference.settings import load_settings
from cetacean_operator.metrics.collectors import Metrics as OperatorMetrics

_WORDS = frozenset(
    [
        "absent",
        "and",
        "avg",
        "by",
        "count",
        "histogram_quantile",
        "ignoring",
        "increase",
        "last_over_time",
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
    inference = Service(load_settings(model={"name": "m", "version": "1", "weights_url": "file:///m"})).metrics.registry
    # A pod has this one once it serves.
    return frozenset({"cetacean_inference_model_info"} | _series(inference) | _series(OperatorMetrics().registry))


def series_in(expr: str) -> set[str]:
    """Return the names of series in an expression, without labels, functions and durations."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|ignoring) *\([^)]*\)|offset \w+", " ", expr)
    return set(re.findall(r"[a-z_][a-z0-9_:]+", bare)) - _WORDS
