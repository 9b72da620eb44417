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


class SpeciesAgreementReport(Answer):
    """Pairs of one species, by the served model, that both models accept."""

    name: str
    pairs: int
    species: int = Field(description="Pairs with the same species.")
    individual: int = Field(description="Pairs with the same individual.")


class AgreementReport(Answer):
    """Counts over pairs of answers; sums of rounded figures are integers in units of 1/10000."""

    pairs: int
    accepted: int = Field(description="Pairs in which both accept or both reject.")
    both_accepted: int
    species: int = Field(description="Pairs that both accept, with the same species.")
    individual: int = Field(description="Pairs that both accept, with the same individual.")
    score_difference: int = Field(description="Sum of the other's minus this model's cetacean score.")
    probability_served: int = Field(description="Sum of this model's probability, over pairs that both accept.")
    probability_other: int = Field(description="Sum of the other's.")
    compute_us_served: int = Field(description="Time of this model's networks, in microseconds.")
    compute_us_other: int
    slower: int = Field(description="Pairs in which the candidate's networks took longer than the bound allows.")
    higher: int = Field(
        description="Pairs that both accept, in which the candidate is surer, as each is expected to be."
    )
    lower: int = Field(description="The same, in which it is less sure.")
    by_species: list[SpeciesAgreementReport] = Field(description="At most 64.")


class ShadowModelReport(Answer):
    """The candidate."""

    name: str
    version: str
    sha256: str


class ShadowReport(Answer):
    """Counts since the comparison with this candidate began in this process."""

    run: str | None = Field(description="Of the monitoring file; null if no candidate is compared.")
    model: ShadowModelReport | None
    sampled: int = Field(description="Answered pictures that were chosen; each picture once.")
    dropped: int = Field(description="Of these, dropped because too many were waiting.")
    busy: int = Field(description="Of these, refused by the candidate with 429.")
    repeated: int = Field(description="Of these, answered by the candidate for another pod before (409).")
    failed: dict[str, int] = Field(description="Of these, without an answer of the candidate, by reason.")
    candidate: AgreementReport
    noise: AgreementReport = Field(description="The same, with another pod of the served model.")


class ComparedAnswer(Answer):
    """The answer of one model about a picture."""

    accepted: bool = Field(description="The gate accepts the picture.")
    species: str
    individual: str
    score: float = Field(description="The gate's score.")
    probability: float = Field(description="Of the likeliest individual; 0 if the gate rejects.")


class Disagreement(Answer):
    """A picture about which the two models disagree: about acceptance, species or individual."""

    image_sha256: str
    served: ComparedAnswer
    candidate: ComparedAnswer


class DisagreementsReport(Answer):
    """The newest disagreements of this run in this process; if none runs, those of the last one."""

    run: str | None = Field(description="Of the monitoring file; null if no candidate was compared.")
    served: ShadowModelReport | None
    candidate: ShadowModelReport | None
    keeps_pictures: bool = Field(description="True if /v1/shadow-pictures may have some of the pictures.")
    disagreements: list[Disagreement] = Field(description="At most 200, oldest first.")


class SpeciesFeedbackReport(Answer):
    """Answers to pictures of one species."""

    name: str = Field(description="The true species; after 64 species all others count as `other`.")
    correct: int = Field(description="Answers that name it.")
    wrong: int = Field(description="Answers that name another one, or none.")


class VersionFeedbackReport(Answer):
    """Feedback on the answers of one model version."""

    model_version: str = Field(description="After 16 versions all others count as `other`.")
    species_correct: int
    species_wrong: int
    individual_correct: int = Field(description="Of the answers of which the true individual is known.")
    individual_wrong: int
    by_species: list[SpeciesFeedbackReport] = Field(description="At most 65.")


class FeedbackReport(Answer):
    """Feedback since the process started; the counts of several pods can be added."""

    received: int = Field(description="All feedback that was counted.")
    models: list[VersionFeedbackReport] = Field(description="At most 17.")


class FeedbackReceipt(Answer):
    """How the feedback was counted."""

    model_version: str
    species: str = Field(description="The true one.")
    species_correct: bool
    individual_correct: bool | None = Field(description="Null if the truth names no individual.")


NOT_READY: Final[dict[str, Any]] = {"model": Problem, "description": "The weights are not loaded yet."}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of an endpoint's error statuses."""
    described = {
        400: "The file is empty, or the form or the archive cannot be read.",
        409: "The candidate has answered another pod about the picture.",
        408: "The body did not arrive in time.",
        413: "A bound is exceeded: bytes, pixels, entries.",
        415: "The file is of another type, or cannot be decoded.",
        422: "The form has no file under the expected name.",
        429: "Too many pictures are waiting; Retry-After says when to try again.",
        503: "The weights are not loaded yet, or the process is ending.",
        504: "It took too long.",
    }
    return {status: {"model": Problem, "description": described[status]} for status in statuses}
