"""The figures that the gate compares, and the pictures that each of them is computed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cetacean_registry.evidence import Measured
from cetacean_registry.figures import ModelMetrics

_BY_INDIVIDUAL: Final = "; scripts/compute_metrics.py computes it on pictures with an individual_id"
_BY_SPECIES: Final = "; scripts/compute_metrics.py computes it on pictures with a species"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a model, and the number of pictures that it is a share of."""

    label: str
    value: Callable[[ModelMetrics], float | None]
    pictures: Callable[[ModelMetrics], tuple[int | None, ...]]
    """The numbers of pictures without which there is no such figure; None: not known."""
    remedy: str = ""
    """How to get the figure if it is missing."""
    is_share: bool = True
    """True if it is a share of the first of `pictures`."""
    of_identification: bool = False

    def samples(self, metrics: ModelMetrics) -> int | None:
        """Return the number of pictures that it is a share of; None if it is no share, or if that is not known."""
        return self.pictures(metrics)[0] if self.is_share else None

    def of(self, metrics: ModelMetrics) -> Measured | None:
        """Return the figure as measured; None if it is missing, or if it is of no pictures, which proves nothing."""
        value = self.value(metrics)
        if value is None or self._of_no_pictures(metrics):
            return None
        return Measured(self.label, value, self.samples(metrics))

    def missing(self, metrics: ModelMetrics) -> str:
        """Return the reason for which `of` returns None, after the label."""
        if self.value(metrics) is None:
            return "is missing"
        return "is of no pictures, so it is missing"

    def _of_no_pictures(self, metrics: ModelMetrics) -> bool:
        return 0 in (*self.pictures(metrics), metrics.sample_size)


TNR: Final = Figure("TNR", lambda model: model.tnr, lambda model: (model.negatives,))
TPR: Final = Figure("TPR", lambda model: model.tpr, lambda model: (model.positives,))
ROC_AUC: Final = Figure(
    "ROC AUC", lambda model: model.roc_auc, lambda model: (model.positives, model.negatives), is_share=False
)
TOP1: Final = Figure(
    "top-1",
    lambda model: model.identification.top1 if model.identification else None,
    lambda model: (model.identification.samples if model.identification else None,),
    _BY_INDIVIDUAL,
    of_identification=True,
)
SPECIES_ACCURACY: Final = Figure(
    "species accuracy",
    lambda model: model.identification.species_accuracy if model.identification else None,
    lambda model: (model.identification.species_samples if model.identification else None,),
    _BY_SPECIES,
    of_identification=True,
)
