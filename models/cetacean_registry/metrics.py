"""Metrics snapshots: a model's figures on a held-out split, as the file has them.

`cetacean_score_mean` and `cetacean_score_std` are the mean and the standard deviation of the gate's cetacean score over
the split's pictures labelled `cetacean`. The mean is the drift rule's baseline. A snapshot without it has no baseline:
no other figure replaces it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cetacean_registry.documents import Document
from cetacean_registry.errors import RegistryError
from cetacean_registry.figures import (
    MAX_SPECIES,
    EvaluationSetName,
    Fraction,
    Histogram,
    IdentificationMetrics,
    ModelMetrics,
    PictureCount,
    ReferenceHistograms,
    SpeciesMetrics,
    SpeciesName,
    check_species,
)
from cetacean_registry.registry import Registry
from cetacean_registry.regular_files import resolve_path

Milliseconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_ROUNDING = 0.0006
"""Snapshots round rates to three or four decimals."""


class AntiFraudFigures(BaseModel):
    """The anti-fraud gate's figures at its calibrated threshold."""

    model_config = ConfigDict(frozen=True, extra="allow")

    n_positive: PictureCount
    n_negative: PictureCount
    tp: PictureCount
    fp: PictureCount
    tn: PictureCount
    fn: PictureCount
    tpr: Fraction | None = None
    tnr: Fraction | None = None
    precision: Fraction | None = None
    f1: Fraction | None = None
    roc_auc: Fraction | None = None

    @model_validator(mode="after")
    def _rates_follow_from_counts(self) -> Self:
        if self.tp + self.fn != self.n_positive:
            raise ValueError(f"tp + fn must be n_positive ({self.n_positive}), got {self.tp + self.fn}")
        if self.tn + self.fp != self.n_negative:
            raise ValueError(f"tn + fp must be n_negative ({self.n_negative}), got {self.tn + self.fp}")
        for name, rate, hits, total in (
            ("tpr", self.tpr, self.tp, self.n_positive),
            ("tnr", self.tnr, self.tn, self.n_negative),
        ):
            if rate is not None and total and abs(rate - hits / total) > _ROUNDING:
                raise ValueError(f"{name} must be {hits}/{total} = {hits / total:.4f}, got {rate}")
        return self


class IdentificationFigures(BaseModel):
    """How often the identification model named the right individual and the right species, whatever the gate says."""

    model_config = ConfigDict(frozen=True, extra="allow")

    n_samples: PictureCount
    """Pictures whose individual is known."""
    top1_accuracy: Fraction | None = None
    top5_accuracy: Fraction | None = None
    n_unique_individuals: PictureCount | None = None
    n_species_samples: PictureCount | None = None
    """Pictures whose species is known."""
    species_accuracy: Fraction | None = None
    top_probability_mean: Fraction | None = None
    """Of the likeliest individual, over the cetacean pictures that the gate accepts."""

    @model_validator(mode="after")
    def _the_first_is_among_the_first_five(self) -> Self:
        first, five = self.top1_accuracy, self.top5_accuracy
        if first is not None and five is not None and first > five:
            raise ValueError(f"top1_accuracy must be at most top5_accuracy ({five}), got {first}")
        return self

    @property
    def metrics(self) -> IdentificationMetrics:
        """The figures for the resource."""
        return IdentificationMetrics(
            samples=self.n_samples,
            top1=self.top1_accuracy,
            top5=self.top5_accuracy,
            species_samples=self.n_species_samples,
            species_accuracy=self.species_accuracy,
            top_probability_mean=self.top_probability_mean,
        )


class BySpeciesFigures(BaseModel):
    """How often the identification model named the right species, on the pictures of one."""

    model_config = ConfigDict(frozen=True, extra="allow")

    species: SpeciesName
    n_samples: PictureCount
    species_accuracy: Fraction
    n_named: PictureCount | None = None
    """Cetacean pictures that the gate accepts and the model takes for this species."""
    named_top_probability_mean: Fraction | None = None

    @property
    def metrics(self) -> SpeciesMetrics:
        """The figures for the resource."""
        return SpeciesMetrics(
            species=self.species,
            samples=self.n_samples,
            species_accuracy=self.species_accuracy,
            named=self.n_named,
            named_top_probability_mean=self.named_top_probability_mean,
        )


class ReferenceFigures(BaseModel):
    """Counts of pictures in 20 bins of equal width over 0..1."""

    model_config = ConfigDict(frozen=True, extra="allow")

    cetacean_score: Histogram
    top_probability: Histogram

    @property
    def metrics(self) -> ReferenceHistograms:
        """The histograms for the resource."""
        return ReferenceHistograms(cetacean_score=self.cetacean_score, top_probability=self.top_probability)


class PerformanceFigures(BaseModel):
    """The time for one picture, milliseconds."""

    model_config = ConfigDict(frozen=True, extra="allow")

    n_samples: PictureCount | None = None
    latency_p50_ms: Milliseconds | None = None
    latency_p95_ms: Milliseconds | None = None
    latency_p99_ms: Milliseconds | None = None
    latency_mean_ms: Milliseconds | None = None


class MetricsSnapshot(Document):
    """A metrics snapshot file, e.g. `reports/metrics_baseline.json`. Unknown keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    generated_at: str | None = None
    manifest_path: EvaluationSetName | None = None
    """Path of the split's manifest; it names the evaluation set unless `evaluation_set` does."""
    evaluation_set: EvaluationSetName | None = None
    sample_size: PictureCount | None = None
    model_version: str | None = None
    cetacean_score_mean: Fraction | None = None
    """Mean cetacean score over the split's cetacean pictures; null or absent: not measured."""
    cetacean_score_std: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    """Population standard deviation over the same pictures."""
    anti_fraud: AntiFraudFigures | None = None
    identification: IdentificationFigures | None = None
    by_species: Annotated[tuple[BySpeciesFigures, ...], Field(max_length=MAX_SPECIES)] | None = None
    """The species with the most pictures."""
    reference: ReferenceFigures | None = None
    clarity: dict[str, Any] | None = None
    performance: PerformanceFigures | None = None

    @model_validator(mode="after")
    def _species_are_unique(self) -> Self:
        check_species([one.species for one in self.by_species or ()])
        return self

    @property
    def metrics(self) -> ModelMetrics:
        """The figures for the resource's `metrics`; a missing one stays missing."""
        gate = self.anti_fraud
        return ModelMetrics(
            tpr=gate.tpr if gate else None,
            tnr=gate.tnr if gate else None,
            roc_auc=gate.roc_auc if gate else None,
            positives=gate.n_positive if gate else None,
            negatives=gate.n_negative if gate else None,
            cetacean_score_mean=self.cetacean_score_mean,
            sample_size=self.sample_size,
            evaluation_set=self.evaluation_set or self.manifest_path,
            identification=self.identification.metrics if self.identification else None,
            by_species=tuple(one.metrics for one in self.by_species) if self.by_species else None,
            reference=self.reference.metrics if self.reference else None,
        )


def snapshot_file(path: str, root: Path) -> Path:
    """Return the file of a snapshot that an entry names.

    Args:
        path: the entry's `metrics_snapshot`.
        root: the folder that it is relative to.

    Raises:
        RegistryError: it leads out of that folder, as by a symbolic link, or in a circle.
    """
    if not resolve_path(root / path).is_relative_to(resolve_path(root)):
        raise RegistryError(f"{path}: expected a file within {root}")
    return root / path


def load_snapshots(registry: Registry, root: Path) -> dict[str, MetricsSnapshot]:
    """Read every snapshot that the registry's models name.

    Args:
        registry: the registry.
        root: the folder that `metrics_snapshot` paths are relative to.

    Returns:
        Snapshots by model name; models that name none are absent.

    Raises:
        RegistryError: a named file is missing, invalid or not within the folder.
    """
    return {
        entry.name: MetricsSnapshot.load(snapshot_file(entry.metrics_snapshot, root))
        for entry in registry.models
        if entry.metrics_snapshot
    }
