"""The counts of the comparison as Prometheus metrics; they begin at zero with each candidate, as counters may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from cetacean_inference.monitoring.metrics import PREFIX
from cetacean_inference.shadow.answers import MICROSECONDS
from cetacean_inference.shadow.kept_pictures import Outcome
from cetacean_inference.shadow.traffic import ShadowTraffic

_KINDS: Final = ("accepted", "both_accepted", "species", "individual")


class ShadowCollector(Collector):
    """Reads the counts at each scrape."""

    def __init__(self, traffic: ShadowTraffic) -> None:
        """Take the counts of this process."""
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        """Yield pictures by outcome, and pairs by what agrees."""
        report = self._traffic.report()
        pictures = CounterMetricFamily(
            f"{PREFIX}shadow_pictures_total",
            "Pictures chosen for a candidate, by outcome.",
            labels=("outcome",),
        )
        outcomes = {
            "compared": report["candidate"]["pairs"],
            "dropped": report["dropped"],
            "busy": report["busy"],
            "repeated": report["repeated"],
            **report["failed"],
        }
        for outcome, count in outcomes.items():
            pictures.add_metric((outcome,), count)
        yield pictures
        pairs = CounterMetricFamily(
            f"{PREFIX}shadow_pairs_total",
            "Answers compared with those of a candidate, or of a second pod of the served model (noise): all, those "
            "that agree about acceptance, those that both accept, and of these those of equal species or individual.",
            labels=("other", "agree"),
        )
        for other in ("candidate", "noise"):
            pairs.add_metric((other, "all"), report[other]["pairs"])
            for kind in _KINDS:
                pairs.add_metric((other, kind), report[other][kind])
        yield pairs
        computed = CounterMetricFamily(
            f"{PREFIX}shadow_compute_seconds_total",
            "Time of the networks for the pictures that were compared, of the served model and of the candidate.",
            labels=("model",),
        )
        for model, name in (("served", "served"), ("candidate", "other")):
            computed.add_metric((model,), report["candidate"][f"compute_us_{name}"] / MICROSECONDS)
        yield computed
        kept = CounterMetricFamily(
            f"{PREFIX}shadow_kept_pictures_total",
            "Pictures about which the models disagree and that keepDisagreements asks to keep: kept; not kept because "
            "another one was being written (busy), or because the volume is full, missing or fails.",
            labels=("outcome",),
        )
        for kept_outcome in Outcome:
            kept.add_metric((kept_outcome,), self._traffic.pictures.outcomes[kept_outcome])
        yield kept
