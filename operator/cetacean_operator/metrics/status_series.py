"""A resource's status as Prometheus series."""

from __future__ import annotations

from functools import cache

from cetacean_operator.api import names
from cetacean_operator.api.status import ModelRef, Status
from cetacean_operator.metrics.model_series import (
    CANDIDATE,
    CONDITION,
    CONDITION_REASON,
    DRIFT,
    DRIFT_SIGNAL,
    FEEDBACK,
    INFO,
    REPLICAS,
    SERVICE,
    SERVING,
    Series,
)

_STATES = {"Raised": 1.0, "WithinBounds": 0.0, "Unknown": -1.0}
_VALUES = {"True": 1.0, "False": 0.0, "Unknown": -1.0}
REASONS = (
    (names.READY, names.STAGES_RUNNING),
    (names.AVAILABLE, names.SCALED_TO_ZERO),
    (names.ANTI_FRAUD_DISABLED, names.RECALIBRATION_OVERDUE),
    (names.DRIFTING, names.SYSTEMIC_REJECTION),
)
"""A fixed few: a reason may repeat a text of another controller, and each one would be a series of its own."""


def of(status: Status) -> Series:
    """Return all series of one resource; a field without a value has no series."""
    series: dict[tuple[str, tuple[str, ...]], float] = {}
    if status.active:
        series[INFO, _labels(status.active)] = 1.0
    if status.serving:
        series[SERVING, _labels(status.serving)] = 1.0
    for condition in status.conditions:
        series[_key(CONDITION, condition.type)] = _VALUES[condition.status]
    for kind, reason in REASONS:
        if (found := status.condition(kind)) is not None:
            series[_key(CONDITION_REASON, kind, reason)] = float(found.reason == reason)
    for state, count in (
        ("existing", status.replicas),
        ("ready", status.ready_replicas),
        ("active", status.active_replicas),
    ):
        series[_key(REPLICAS, state)] = float(count)
    for family, figures in ((SERVICE, status.service), (DRIFT, status.drift)):
        for figure, value in (figures.wire() if figures else {}).items():
            if isinstance(value, int | float):
                series[_key(family, figure)] = float(value)
    for signal in status.drift.signals if status.drift else ():
        figures_of_signal = (("value", signal.value), ("bound", signal.bound), ("samples", signal.samples))
        for figure, number in (("raised", _STATES[signal.state]), *figures_of_signal):
            if number is not None:
                series[_key(DRIFT_SIGNAL, signal.signal, figure)] = float(number)
    series.update(_feedback(status))
    series.update(_candidate(status))
    return series


def _candidate(status: Status) -> Series:
    found, diverged = status.candidate, status.condition(names.REGISTRY_DIVERGED)
    if found is None:
        return {}
    is_held = diverged is not None and diverged.reason == names.CANDIDATE_HELD
    figures = {"held": float(is_held), "stage": found.stage or 0, "stages": found.stages}
    for part in (found.shadow, found.canary):
        figures |= part.wire() if part else {}
    return {(CANDIDATE, (found.model, found.version, name)): float(value) for name, value in figures.items()}


def _feedback(status: Status) -> Series:
    return {
        (FEEDBACK, (found.version, about, figure)): float(value)
        for found in status.feedback or ()
        for about, accuracy in (("species", found.species), ("individual", found.individual))
        for figure, value in (accuracy.wire() if accuracy else {}).items()
    }


def _labels(model: ModelRef) -> tuple[str, str, str]:
    return model.name, model.version or "", model.digest or ""


@cache
def _key(family: str, *labels: str) -> tuple[str, tuple[str, ...]]:
    """One object for all resources; there are as many as conditions, signals and figures have names."""
    return family, labels
