"""The bounds of the gate before a promotion: `spec.gates` of the resource, options of the commands."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cetacean_registry.figures import Fraction

Evidence = Literal["Point", "Interval"]
DEFAULT_MIN_SAMPLES: Final = 20
MAX_MIN_SAMPLES: Final = 1_000_000
MinSamples = Annotated[int, Field(ge=1, le=MAX_MIN_SAMPLES)]
DEFAULT_SPECIES_REGRESSION: Final = 0.1
_CONFIG: Final = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class BySpeciesPolicy(BaseModel):
    """How far a candidate may be worse at one species."""

    model_config = _CONFIG

    min_samples: MinSamples = Field(
        default=DEFAULT_MIN_SAMPLES,
        alias="minSamples",
        description="A species with fewer pictures in the evaluation set is not judged.",
    )
    max_regression: Fraction = Field(
        default=DEFAULT_SPECIES_REGRESSION,
        alias="maxRegression",
        description="How far the species accuracy of one species may lie below the serving model's.",
    )


class GatePolicy(BaseModel):
    """The bounds that a candidate must reach; one that is absent asks for nothing."""

    model_config = _CONFIG

    min_tnr: Fraction = Field(default=0.90, alias="minTNR", description="Lowest true negative rate.")
    min_tpr: Fraction = Field(default=0.85, alias="minTPR", description="Lowest true positive rate.")
    max_regression: Fraction = Field(
        default=0.02,
        alias="maxRegression",
        description="How far TNR, TPR and ROC AUC may lie below the serving model's on the same evaluation set; also "
        "top-1 and species accuracy if both models have them.",
    )
    min_top1: Fraction | None = Field(
        default=None,
        alias="minTop1",
        description="Lowest share of pictures in which the likeliest individual is the right one.",
    )
    min_species_accuracy: Fraction | None = Field(
        default=None,
        alias="minSpeciesAccuracy",
        description="Lowest share of pictures in which the likeliest individual is of the right species.",
    )
    by_species: BySpeciesPolicy | None = Field(
        default=None, alias="bySpecies", description="Bounds for each species; both models need figures by species."
    )
    evidence: Evidence = Field(
        default="Point",
        description="Point: a figure outside its bound refuses. Interval: it refuses only if its 95 % interval "
        "excludes the bound; ROC AUC is always judged as Point.",
    )
