"""The counts of feedback as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from cetacean_inference.monitoring.feedback import FeedbackCounts
from cetacean_inference.monitoring.metrics import PREFIX


class FeedbackCollector(Collector):
    """Reads the counts at each scrape.

    Args:
        counts: of this process.
    """

    def __init__(self, counts: FeedbackCounts) -> None:
        self._counts = counts

    def describe(self) -> Iterator[Metric]:
        """Name the metrics and their labels."""
        yield from self._families()

    def collect(self) -> Iterator[Metric]:
        """Yield the number of all feedback, then that of species and of individuals that are right and wrong."""
        received, species, individuals = families = self._families()
        received.add_metric((), self._counts.received)
        for version, found in self._counts.versions.items():
            for name, one in found.by_species.items():
                species.add_metric((version, name, "correct"), one.correct)
                species.add_metric((version, name, "wrong"), one.wrong)
            individuals.add_metric((version, "correct"), found.individuals.correct)
            individuals.add_metric((version, "wrong"), found.individuals.wrong)
        yield from families

    @staticmethod
    def _families() -> tuple[CounterMetricFamily, CounterMetricFamily, CounterMetricFamily]:
        return (
            CounterMetricFamily(
                f"{PREFIX}feedback_received_total", "Answers that clients gave feedback on.", labels=()
            ),
            CounterMetricFamily(
                f"{PREFIX}feedback_total",
                "Answers that clients gave feedback on, by the version that answered, the true species, and whether "
                "the species is right; after 16 versions, and after 64 species of each, all others are `other`.",
                labels=("model_version", "species", "outcome"),
            ),
            CounterMetricFamily(
                f"{PREFIX}feedback_individuals_total",
                "Those of them of which the individual is known, by whether it is right.",
                labels=("model_version", "outcome"),
            ),
        )
