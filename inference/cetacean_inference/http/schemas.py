"""The answers of the endpoints other than Detections, for OpenAPI."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(protected_namespaces=())


class Problem(Answer):
    """The reason why a request is not answered."""

    detail: str = Field(description="Expected and found.", examples=["expected a picture, got an empty file"])


class ModelReport(Answer):
    """The registry entry that is served."""

    name: str = Field(examples=["effb4_15k"])
    version: str = Field(examples=["1.0.0"])
    architecture: str = Field(examples=["CetaceanIdentificationModel"])


class WeightsReport(Answer):
    """The checkpoint."""

    sha256: str | None = Field(description="Digest of the loaded bytes; null until they are loaded.")
    expected_sha256: str | None = Field(description="Digest of the registry entry.")
    files: dict[str, str] = Field(description="Digests of the loaded files beside it, by name.")
    unverified: list[str] = Field(
        description="Files that decide answers and have no expected digest, those of the gate included."
    )
    verified: bool = Field(description="True if all files are loaded and each had its expected digest.")


class GateReport(Answer):
    """The anti-fraud gate."""

    architecture: str = Field(examples=["ViT-B-32"])
    pretrained: str | None = Field(examples=["laion2b_s34b_b79k"])
    sha256: str | None
    threshold: float = Field(examples=[0.52])
    enabled: bool = Field(description="False when the threshold is 0.0.")


class IdentityReport(Answer):
    """The model, weights, gate and configuration that are served."""

    model: ModelReport
    weights: WeightsReport
    gate: GateReport
    config_digest: str | None
    rollout_id: str | None
    engine: str | None = Field(
        description="The engine that computes; null until the weights are loaded.", examples=["torch-eager"]
    )
    ready: bool


class AdwinReport(Answer):
    """ADWIN's view of the scores; it raises no alarm."""

    changes_total: int
    width: int = Field(description="Scores since the last change.")
    score_mean: float | None


class SpeciesReport(Answer):
    """The newest answers that name one species."""

    n: int
    probability_sum: float = Field(description="Sum of their `probability`, exact to four decimals.")


class AnswersReport(Answer):
    """The newest answers as counts; those of several pods can be added."""

    window: int = Field(description="Most answers the window holds.")
    n: int = Field(description="Pictures answered in the window.")
    identified: int = Field(description="Those that the gate accepted.")
    low_confidence: int = Field(description="Those of the identified ones that were rejected as `low_confidence`.")
    probability_sum: float = Field(description="Sum of `probability` over the identified ones, exact to four decimals.")
    cetacean_score: tuple[int, ...] = Field(description="Pictures by cetacean score: 20 bins of equal width over 0..1.")
    top_probability: tuple[int, ...] = Field(description="Identified pictures by `probability`, the same bins.")
    species: dict[str, SpeciesReport] = Field(
        description="Identified pictures by species; after 64 species all others count as `other`."
    )


class DriftReport(Answer):
    """The window over the last predictions; means are null while it is empty."""

    n: int = Field(description="Predictions in the window.")
    alarms_total: int = Field(description="Episodes of drift since the process started.")
    score_mean: float | None
    score_std: float | None
    probability_mean: float | None = Field(description="Mean of the answers' `probability`.")
    window: int = Field(description="Most predictions the window holds.")
    baseline: float | None = Field(
        description="Mean score expected of this model; null if the monitoring file has none."
    )
    drop: float | None = Field(description="Baseline minus mean.")
    drifting: bool
    adwin: AdwinReport
    lifetime_n: int = Field(description="Predictions since the process started.")
    lifetime_score_mean: float | None = Field(description="Mean score of all of them.")
    answers: AnswersReport


NOT_READY: Final[dict[str, Any]] = {"model": Problem, "description": "The weights are not loaded yet."}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of an endpoint's error statuses."""
    described = {
        400: "The file is empty, or the form or the archive cannot be read.",
        408: "The body did not arrive in time.",
        413: "A bound is exceeded: bytes, pixels, entries.",
        415: "The file is of another type, or cannot be decoded.",
        422: "The form has no file under the expected name.",
        429: "Too many pictures are waiting; Retry-After says when to try again.",
        503: "The weights are not loaded yet, or the process is ending.",
        504: "It took too long.",
    }
    return {status: {"model": Problem, "description": described[status]} for status in statuses}
