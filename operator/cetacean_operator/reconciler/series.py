"""A resource's status as Prometheus series."""

from __future__ import annotations

from prometheus_client import Gauge

from cetacean_operator.api import names
from cetacean_operator.api.status import Status
from cetacean_operator.metrics import Metrics

Series = dict[tuple[Gauge, tuple[str, ...]], float]
_VALUES = {"True": 1.0, "False": 0.0, "Unknown": -1.0}


def of(metrics: Metrics, status: Status) -> Series:
    """Return all series of one resource; what has no value has no series."""
    series: Series = {}
    if status.active:
        active = status.active
        series[metrics.model_info, (active.name, active.version or "", active.digest or "")] = 1.0
    if status.serving:
        serving = status.serving
        series[metrics.model_serving, (serving.name, serving.version or "", serving.digest or "")] = 1.0
    for condition in status.conditions:
        series[metrics.model_condition, (condition.type,)] = _VALUES[condition.status]
    disabled = status.condition(names.ANTI_FRAUD_DISABLED)
    overdue = disabled is not None and disabled.reason == names.RECALIBRATION_OVERDUE
    series[metrics.model_condition, (names.RECALIBRATION_OVERDUE,)] = float(overdue)
    for state, count in (
        ("existing", status.replicas),
        ("ready", status.ready_replicas),
        ("active", status.active_replicas),
    ):
        series[metrics.model_replicas, (state,)] = float(count)
    if status.service:
        for figure, value in status.service.wire().items():
            series[metrics.model_service, (figure,)] = float(value)
    if status.drift:
        for figure, value in status.drift.wire().items():
            series[metrics.model_drift, (figure,)] = float(value)
    return series
