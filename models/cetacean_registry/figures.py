"""A model's figures as the resource carries them: those that promotion and drift need.

They come from a metrics snapshot (`metrics.MetricsSnapshot`). All are optional: null is not measured. All lists have a
largest length, so that a resource with many models stays small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
PictureCount = Annotated[int, Field(ge=0, le=1_000_000_000)]
LONGEST_SPECIES_NAME: Final = 64
SpeciesName = Annotated[str, Field(min_length=1, max_length=LONGEST_SPECIES_NAME)]
LONGEST_SET_NAME: Final = 1024
EvaluationSetName = Annotated[str, Field(min_length=1, max_length=LONGEST_SET_NAME)]
MAX_SPECIES: Final = 64
"""Species that a snapshot and a resource have figures of."""
HISTOGRAM_BINS: Final = 20
"""Bins of equal width over 0..1; the last one includes 1."""
Histogram = Annotated[tuple[PictureCount, ...], Field(min_length=HISTOGRAM_BINS, max_length=HISTOGRAM_BINS)]


class _Figures(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class IdentificationMetrics(_Figures):
    """How often the model itself names the right individual and the right species; the anti-fraud gate has no part."""

    samples: PictureCount = Field(
        description="Cetacean pictures whose individual is known: top1 and top5 are shares of them."
    )
    top1: Fraction | None = Field(default=None, description="Share in which the likeliest individual is the right one.")
    top5: Fraction | None = Field(
        default=None, description="Share in which the right individual is among the five likeliest."
    )
    species_samples: PictureCount | None = Field(
        default=None, description="Cetacean pictures whose species is known: speciesAccuracy is a share of them."
    )
    species_accuracy: Fraction | None = Field(
        default=None, description="Share in which the likeliest individual is of the right species."
    )
    top_probability_mean: Fraction | None = Field(
        default=None,
        description="Mean probability of the likeliest individual, right or wrong, over the cetacean pictures that the "
        "gate accepts.",
    )


class SpeciesMetrics(_Figures):
    """The model's figures on the pictures of one species."""

    species: SpeciesName = Field(description="As the evaluation set and the model's species_map.csv name it.")
    samples: PictureCount = Field(description="Pictures of the species in the evaluation set.")
    species_accuracy: Fraction = Field(description="Share in which the likeliest individual is of this species.")
    named: PictureCount | None = Field(
        default=None,
        description="Cetacean pictures that the gate accepts and whose likeliest individual is of this species, "
        "rightly or wrongly.",
    )
    named_top_probability_mean: Fraction | None = Field(
        default=None, description="Mean probability of the likeliest individual over the pictures counted in named."
    )


class ReferenceHistograms(_Figures):
    """The distributions on the evaluation set: counts of pictures in 20 bins of equal width over 0..1."""

    cetacean_score: Histogram = Field(description="The gate's score of the cetacean pictures.")
    top_probability: Histogram = Field(
        description="The probability of the likeliest individual, of the cetacean pictures that the gate accepts."
    )


class ModelMetrics(_Figures):
    """The figures of a snapshot that promotion and drift need; null: not measured."""

    tpr: Fraction | None = Field(default=None, description="True positive rate of the anti-fraud gate.")
    tnr: Fraction | None = Field(default=None, description="True negative rate of the anti-fraud gate.")
    roc_auc: Fraction | None = Field(default=None, description="Area under the gate's ROC curve.")
    positives: PictureCount | None = Field(
        default=None, description="Cetacean pictures in the evaluation set: tpr is a share of them."
    )
    negatives: PictureCount | None = Field(
        default=None, description="Other pictures in the evaluation set: tnr is a share of them."
    )
    cetacean_score_mean: Fraction | None = Field(
        default=None,
        description="Mean cetacean score over the evaluation set's cetacean pictures: the baseline of drift.",
    )
    sample_size: PictureCount | None = Field(default=None, description="Pictures in the evaluation set.")
    evaluation_set: EvaluationSetName | None = Field(
        default=None, description="Which pictures were scored; figures are compared only if this is equal."
    )
    identification: IdentificationMetrics | None = Field(
        default=None, description="How often the model names the right individual and species."
    )
    # Atomic: for a map the API server would record the owner of each of 64 x 64 entries, in as many bytes again.
    by_species: (
        Annotated[
            tuple[SpeciesMetrics, ...],
            Field(
                max_length=MAX_SPECIES,
                json_schema_extra={"x-kubernetes-list-type": "atomic"},
            ),
        ]
        | None
    ) = Field(default=None, description="The species with the most pictures, at most 64.")
    reference: ReferenceHistograms | None = Field(
        default=None, description="Distributions that those of served pictures are compared with."
    )

    @model_validator(mode="after")
    def _species_are_unique(self) -> Self:
        check_species([one.species for one in self.by_species or ()])
        return self


def check_species(names: Sequence[str]) -> None:
    """Check that no species is there twice.

    Raises:
        ValueError: a species is; the message names it.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValueError(f"figures by species: each species must be there once, more than once: {', '.join(twice)}")
