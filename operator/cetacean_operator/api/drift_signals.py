"""Bounds of the signals of drift about the newest answers; a signal judges only models with its figures."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from cetacean_operator.api.base import ApiModel, filled, rules

LARGEST_WINDOW = 10_000
_Bound = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


class Signal(ApiModel):
    """The part that all signals have."""

    enabled: bool = Field(default=True, description="False: the signal is neither judged nor shown.")
    min_samples: int = Field(
        default=50, ge=1, le=LARGEST_WINDOW, description="Fewer pictures, over all pods, decide nothing."
    )


class TopProbabilitySignal(Signal):
    """The mean probability of the likeliest individual, beside the model's topProbabilityMean."""

    max_drop: _Bound = Field(default=0.10, description="Raised if the mean lies this far below, or farther.")


class LowConfidenceSignal(Signal):
    """The share of accepted pictures that are rejected as low_confidence, beside that of the evaluation set."""

    max_increase: _Bound = Field(default=0.10, description="Raised if the share is larger by this much, or more.")


class DistributionSignal(Signal):
    """The histograms of both scores, beside those of the evaluation set."""

    max_distance: _Bound = Field(
        default=0.20,
        description="Raised if this share of the pictures, or more, has moved (Kolmogorov-Smirnov distance).",
    )


class BySpeciesSignal(Signal):
    """The species that the model names, beside those that it names on the evaluation set."""

    max_share_change: _Bound = Field(
        default=0.20, description="Raised if the share of a species differs by this much, or more."
    )
    max_drop: _Bound = Field(
        default=0.10,
        description="Raised if the mean top probability lies this far below that expected for these species, or "
        "farther: then the identification itself is worse.",
    )


class DriftSignals(ApiModel):
    """Signals beside the playbook's, about the newest answers and what the identification model produces."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(
                (f"self.{name}.minSamples <= self.window", "minSamples must be at most window", f".{name}")
                for name in ("topProbability", "lowConfidence", "distribution", "bySpecies")
            )
        )
    )

    window: int = Field(
        default=200,
        ge=1,
        le=LARGEST_WINDOW,
        description="Number of newest answers that each pod keeps for the signals.",
    )
    top_probability: TopProbabilitySignal = Field(
        default_factory=TopProbabilitySignal, json_schema_extra=filled(TopProbabilitySignal())
    )
    low_confidence: LowConfidenceSignal = Field(
        default_factory=LowConfidenceSignal, json_schema_extra=filled(LowConfidenceSignal())
    )
    distribution: DistributionSignal = Field(
        default_factory=DistributionSignal, json_schema_extra=filled(DistributionSignal())
    )
    by_species: BySpeciesSignal = Field(default_factory=BySpeciesSignal, json_schema_extra=filled(BySpeciesSignal()))

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        for part in (self.top_probability, self.low_confidence, self.distribution, self.by_species):
            if part.min_samples > self.window:
                raise ValueError(f"minSamples must be at most window ({self.window}), got {part.min_samples}")
        return self
