"""The series of each resource, created at scrape time.

prometheus-client's gauges keep an object with a lock for each series. A resource has some 25 series, so a thousand
resources would take 40 MB; here they take 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Series = Mapping[tuple[str, tuple[str, ...]], float]
"""Values by family and its label values, those of the resource's namespace and name aside."""
_PREFIX: Final = "cetacean_model"
_MODEL: Final = ("namespace", "name")
INFO: Final = "info"
SERVING: Final = "serving_info"
CONDITION: Final = "condition"
CONDITION_REASON: Final = "condition_reason"
REPLICAS: Final = "replicas"
SERVICE: Final = "service"
DRIFT: Final = "drift"
DRIFT_SIGNAL: Final = "drift_signal"
FEEDBACK: Final = "feedback"
CANDIDATE: Final = "candidate"
_FAMILIES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    INFO: ("The active registry entry.", ("model", "version", "active_digest")),
    SERVING: ("The model that pods report.", ("model", "version", "serving_digest")),
    CONDITION: ("1 True, 0 False, -1 Unknown.", ("type",)),
    CONDITION_REASON: ("1 if the condition has this reason, else 0; only the reasons that alerts need.", ("type", "reason")),
    REPLICAS: ("Pods by state.", ("state",)),
    SERVICE: ("The service level that clients get, pooled over the pods.", ("figure",)),
    DRIFT: ("Pooled figures of the pods' drift windows.", ("figure",)),
    DRIFT_SIGNAL: (
        "A signal of drift: raised (1, 0, or -1 if not known), its value, bound and samples.",
        ("signal", "figure"),
    ),
    FEEDBACK: (
        "Feedback that the present pods have received: answers, correct ones, their share and its 95 % interval.",
        ("model_version", "about", "figure"),
    ),
    CANDIDATE: (
        "The candidate: held (1 if it waits for a person), its stage, the number of stages, and the stage's figures.",
        ("model", "version", "figure"),
    ),
}


class ModelSeries(Collector):
    """All series under the prefix `cetacean_model_`; they exist as long as their resource."""

    def __init__(self) -> None:
        """Start without any resource."""
        self._models: dict[tuple[str, str], Series] = {}

    def set(self, namespace: str, name: str, series: Series) -> None:
        """Replace all series of one resource: label values that are no longer given disappear."""
        self._models[namespace, name] = series

    def forget(self, namespace: str, name: str) -> None:
        """Remove every series of a resource that is gone."""
        self._models.pop((namespace, name), None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the families."""
        for family, (text, labels) in _FAMILIES.items():
            yield GaugeMetricFamily(f"{_PREFIX}_{family}", text, labels=(*_MODEL, *labels))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all series; called by the thread that answers Prometheus."""
        families = dict(zip(_FAMILIES, self.describe(), strict=True))
        for model, series in list(self._models.items()):
            for (family, labels), value in series.items():
                families[family].add_metric((*model, *labels), value)
        yield from families.values()
