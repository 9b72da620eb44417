"""The queries of the dashboards' panels, asked of a Prometheus in the cluster."""

from __future__ import annotations

import math
from typing import Any, Final

from cetacean_tools.dashboards import Query
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.prometheus import Prometheus

MINUTES: Final = 300.0
"""Seconds of the past that are read."""


def asked(environment: Environment, query: Query, model: str) -> str:
    """Return PromQL about one model of the namespace."""
    variables = {"namespace": environment.kubectl.namespace, "model": model, "__range": "5m", "__rate_interval": "1m"}
    return query.asked(variables)


def data(there: Prometheus, query: Query, expr: str) -> list[dict[str, Any]]:
    """Return the series that have a value which can be drawn."""
    if query.instant:
        found = [(series, [series["value"]]) for series in there.series(expr)]
    else:
        found = [(series, series["values"]) for series in there.history(expr, seconds=MINUTES, step=2)]
    return [series for series, values in found if any(not math.isnan(float(value)) for _, value in values)]
