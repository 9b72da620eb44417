"""A candidate that runs stages, as the status reports it, and a person's decision about it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from cetacean_operator.api.base import ApiModel, Finite, Timestamp, list_map
from cetacean_operator.api.stages import MOST_STAGES
from cetacean_registry.registry import ShortText

StageKind = Literal["Shadow", "Canary"]
MOST_RETURNED: Final = 8
_Message = Annotated[str, Field(max_length=4096)]
_MOST_SHARES: Final = 80


class ShadowFigures(ApiModel):
    """Pairs of answers to the same picture, added up over the serving pods."""

    pictures: int = Field(description="Pictures that both have answered.")
    failed: int = Field(description="Copied pictures that the candidate did not answer.")
    busy: int = Field(description="Copies that the candidate rejected because it was busy; they prove nothing.")
    dropped: int = Field(description="Pictures that were not copied because the queue was full.")
    accepted: int = Field(description="Pictures that both accept, or both reject.")
    both_accepted: int
    species: int = Field(description="Of those that both accept: the same species.")
    individual: int = Field(description="Of those that both accept: the same individual.")
    slower: int = Field(description="Pictures for which the candidate was slower than maxLatencyRatio allows.")
    score_shift: Finite | None = Field(
        default=None, description="Mean cetacean score of the candidate less that of what serves, four decimals."
    )
    probability_shift: Finite | None = Field(
        default=None, description="The same of the top probability, of the pictures that both accept."
    )
    compute_ratio: Finite | None = Field(
        default=None, description="Computing time of the candidate by that of what serves, four decimals."
    )
    noise_pictures: int = Field(default=0, description="Pictures that two pods of the serving model answered.")
    noise_accepted: int = 0
    noise_both_accepted: int = 0
    noise_species: int = 0
    noise_individual: int = 0


class CanaryFigures(ApiModel):
    """Answers to clients since the canary began, of the candidate's pods and of the others."""

    weight: int
    candidate_pods: int
    requests: int = Field(description="That the candidate has answered.")
    errors: int = Field(description="Those of them with 5xx.")
    stable_requests: int
    stable_errors: int
    median_seconds: Finite | None = Field(default=None, description="Of recent single pictures, three decimals.")
    stable_median_seconds: Finite | None = None


Decision = Literal["Promote", "Abort", "Retry"]


class StageShare(ApiModel):
    """One requirement of a stage beside its figures."""

    name: ShortText
    successes: int
    trials: int
    observed: Finite | None = Field(default=None, description="Successes by trials, four decimals.")
    low: Finite = Field(description="Bounds of the true share that hold however often they are judged.")
    high: Finite
    smallest: Finite = Field(description="The share that is required.")


class PassedStage(ApiModel):
    """A stage that a candidate has passed."""

    kind: StageKind
    digest: ShortText = Field(description="Of the stage as spec.rollout named it.")
    at: Timestamp
    message: Annotated[str, Field(max_length=1024)]
    shadow: ShadowFigures | None = None
    canary: CanaryFigures | None = None


class PersonDecision(ApiModel):
    """A person promotes or aborts a candidate, or lets one that was held or removed try again.

    It is about these weights under this configuration only.
    """

    decision: Decision
    model: ShortText
    rollout: ShortText = Field(description="Of the candidate: weights and configuration.")
    by: ShortText = Field(description="Who decides, as the command line reports it.")
    at: Timestamp
    why: Annotated[str, Field(max_length=1024)] | None = None


class ReturnedCandidate(ApiModel):
    """A candidate that was removed, and is not tried again until its entry changes, or somebody asks for it."""

    model: ShortText
    version: ShortText
    digest: ShortText | None = None
    entry: ShortText = Field(description="Of what pods read of its registry entry; another one is tried again.")
    rollout: ShortText = Field(description="Weights and configuration with which it was removed.")
    reason: ShortText = Field(
        description="Disagrees, Slower, Failing, Inconclusive, Aborted, or ProgressDeadlineExceeded of a rollout "
        "without stages."
    )
    why: _Message
    at: Timestamp
    by: ShortText | None = Field(default=None, description="The person who aborted it.")
    retry: Timestamp | None = Field(
        default=None, description="The decision to try it again that it had run under; a later one counts."
    )


class CandidateStatus(ApiModel):
    """The model that the registry names, while it has not replaced the one that serves."""

    model: ShortText
    version: ShortText
    digest: ShortText | None = None
    rollout: ShortText = Field(description="Weights and configuration.")
    stage: int | None = Field(default=None, description="Number of the stage, from 1; absent before the first.")
    stages: int = Field(description="Number of stages; 0 for a rollout without stages that was taken back.")
    kind: StageKind | None = None
    since: Timestamp | None = Field(default=None, description="When the stage began.")
    verdict: ShortText = Field(
        description="Running, Agrees, Disagrees, Slower, Failing, Inconclusive, Aborted, Impossible or "
        "ProgressDeadlineExceeded."
    )
    message: _Message
    shadow: ShadowFigures | None = None
    canary: CanaryFigures | None = None
    requirements: Annotated[
        tuple[StageShare, ...], Field(max_length=_MOST_SHARES, json_schema_extra=list_map("name"))
    ] = ()
    passed: Annotated[tuple[PassedStage, ...], Field(max_length=MOST_STAGES)] = ()


def parse_decision(text: str | None) -> PersonDecision | None:
    """Read the annotation of a resource; None if there is none, or one that cannot be read."""
    try:
        return PersonDecision.model_validate_json(text or "")
    except ValidationError:
        return None
