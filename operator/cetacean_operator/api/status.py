"""`status` of a CetaceanModel. It follows from what pods report, not from what was applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from cetacean_operator.api.base import ApiModel, Finite, Timestamp, list_map
from cetacean_operator.api.candidate import (
    MOST_RETURNED,
    CandidateStatus,
    PassedStage,
    PersonDecision,
    ReturnedCandidate,
)
from cetacean_operator.api.spec import Model
from cetacean_operator.api.stages import MOST_STAGES
from cetacean_registry.registry import ShortText
from cetacean_registry.urls import LONGEST_URL

HISTORY_LENGTH = 10
MOST_FEEDBACK_VERSIONS = 16
LONGEST_MESSAGE = 32768
LONGEST_REASON = 1024
_Message = Annotated[str, Field(max_length=LONGEST_MESSAGE)]


class Condition(ApiModel):
    """Has the fields of metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]
    message: _Message = ""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    observed_generation: Annotated[int, Field(ge=0)]


class ModelRef(ApiModel):
    """A model: its weights, and how they are used."""

    name: ShortText
    version: ShortText | None = None
    digest: ShortText | None = Field(default=None, description="SHA-256 of the weights; absent if not known.")
    definition: ShortText | None = Field(
        default=None,
        description="Digest of the registry entry's fields that decide the answers beside the weights: architecture, "
        "backbone, sizes, numbers of classes and the digests in files; absent if not known.",
    )


class Rollout(ApiModel):
    """The rollout in the Deployment."""

    id: ShortText = Field(description="Each pod of the rollout reports it.")
    model: ShortText
    version: ShortText


class GivenApproval(ApiModel):
    """An approval that counted when the model was promoted."""

    name: ShortText = Field(description="Name of the ModelApproval.")
    kind: ShortText
    approver: ShortText
    at: Timestamp
    evidence: Annotated[str, Field(max_length=2048)] | None = None
    reason: Annotated[str, Field(max_length=1024)] | None = None


class Release(ApiModel):
    """Who let a model serve, and on which figures; absent without spec.approval."""

    model_config = ConfigDict(extra="ignore")

    type: ShortText = Field(description="Patch, Minor, Major or Hotfix.")
    change: ShortText = Field(description="Patch, Minor or Major: the type by the versions alone.")
    approvals: Annotated[tuple[GivenApproval, ...], Field(max_length=32)] = ()
    figures: Annotated[dict[str, Finite], Field(max_length=64)] | None = Field(
        default=None, description="The model's metrics at the promotion, by their path in the registry entry's metrics."
    )
    evaluation_set: Annotated[str, Field(max_length=1024)] | None = None
    metrics_snapshot: Annotated[str, Field(max_length=1024)] | None = None


class HistoryEntry(ApiModel):
    """One promotion, forward or back."""

    model: ShortText
    version: ShortText
    digest: ShortText | None = None
    definition: ShortText = Field(description="Digest of how the weights are used, as in status.active.")
    weights_url: Annotated[str, Field(max_length=LONGEST_URL)]
    at: Timestamp
    reason: Annotated[
        ShortText, Field(min_length=1, description="GatePassed, GateSkipped, ServedBefore, DriftRollback or Adopted.")
    ]
    why: _Message
    release: Release | None = None
    stages: Annotated[tuple[PassedStage, ...], Field(max_length=MOST_STAGES)] | None = Field(
        default=None, description="The stages that it passed before; absent if it ran none."
    )
    decision: PersonDecision | None = Field(
        default=None, description="Who promoted it before its stages were over; absent if nobody did."
    )


class ServedModel(ApiModel):
    """A model that pods have served: it may come back without the gate."""

    model_config = ConfigDict(extra="ignore")

    entry: Model = Field(description="Its registry entry, for the time after the registry has dropped it.")
    digest: ShortText = Field(description="SHA-256 of the weights that pods loaded.")
    first_served_at: Timestamp


SignalName = Literal["CetaceanScore", "TopProbability", "LowConfidence", "Distribution", "BySpecies"]
SignalState = Literal["Raised", "WithinBounds", "Unknown"]


class SignalStatus(ApiModel):
    """One signal of drift."""

    signal: SignalName
    state: SignalState
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    value: Finite | None = Field(default=None, description="The figure that is compared with the bound.")
    bound: Finite | None = Field(default=None, description="The signal is raised from this value on, if it is proven.")
    samples: int | None = Field(default=None, description="Pictures in the pods' windows that the value is about.")
    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="The finding; only of a raised signal."
    )
    next_step: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="The next step for a person, and a link to the runbook; only of a raised signal."
    )

    @property
    def raised(self) -> bool:
        """True if the signal reports drift."""
        return self.state == "Raised"


class DriftStatus(ApiModel):
    """Pooled figures of the pods that serve the current model, rounded to three decimals."""

    samples: int = Field(default=0, description="Samples in all pods' windows together.")
    mean: Finite | None = Field(default=None, description="Mean cetacean score over the windows, weighted by samples.")
    baseline: Finite | None = Field(default=None, description="The model's own mean on its evaluation set.")
    drop: Finite | None = Field(default=None, description="The baseline less the mean.")
    alarms: int = Field(default=0, description="Alarms the pods have raised.")
    score_avg: Finite | None = Field(default=None, description="The gauge cetacean_score_avg, weighted by samples.")
    rejection_rate: Finite | None = Field(
        default=None, description="Share of recent requests rejected as no marine mammal."
    )
    pods_scraped: int = 0
    pods_silent: int = Field(default=0, description="Ready pods that did not answer.")
    signals: Annotated[tuple[SignalStatus, ...], Field(max_length=8, json_schema_extra=list_map("signal"))] = Field(
        default=(), description="Each signal with its bound; docs/drift.md describes them."
    )


class ServiceStatus(ApiModel):
    """Service level, pooled over all ready pods; absent while there are fewer than minRequests requests."""

    availability_percent: Finite | None = Field(
        default=None, description="Percentage of requests not answered with 5xx, weighted by requests, one decimal."
    )
    p95_seconds: Finite | None = Field(
        default=None, description="95th percentile of the response time of single pictures, two decimals."
    )


class LiveAccuracy(ApiModel):
    """How often answers were right, with Wilson's 95 % interval, rounded to three decimals."""

    samples: int = Field(description="Answers with feedback.")
    correct: int
    accuracy: Finite = Field(description="Correct by samples.")
    low: Finite
    high: Finite


class FeedbackStatus(ApiModel):
    """Feedback of clients on the answers of one model version."""

    version: ShortText
    model: ShortText | None = Field(
        default=None, description="The registry entry with that version; absent if there is none, or more than one."
    )
    species: LiveAccuracy = Field(description="Of the species (id_animal).")
    individual: LiveAccuracy | None = Field(
        default=None, description="Of the individual (class_animal), if feedback names it."
    )


class Rollback(ApiModel):
    """An automatic rollback that stands until a person changes the spec."""

    rejected: ModelRef = Field(description="The model that drifted.")
    rejected_url: Annotated[str, Field(max_length=LONGEST_URL)]
    restored: ModelRef
    at: Timestamp
    why: _Message


class ComparisonStatus(ApiModel):
    """A model that answers the same pictures as the one that serves, and gives no answer to a client."""

    run: ShortText = Field(description="Names the comparison; pods count from zero again if it changes.")
    model: ModelRef = Field(description="The model that is compared.")
    pairs: int = Field(default=0, description="Pictures that both models answered, over all pods.")
    failed: int = Field(default=0, description="Pictures that the compared model did not answer.")
    higher: int = Field(default=0, description="Pictures of which it is surer, as each model is expected to be.")
    lower: int = Field(default=0, description="Pictures of which it is less sure.")
    verdict: Literal["Running", "Better", "NoBetter"] = "Running"


class PrefetchedModel(ApiModel):
    """Weights that a Job has downloaded before their model serves."""

    model: ShortText
    digest: ShortText = Field(description="SHA-256 of the weights.")
    claim: ShortText = Field(description="The PersistentVolumeClaim that holds them.")
    since: Timestamp


class AntiFraudStatus(ApiModel):
    """State of the anti-fraud gate."""

    threshold: Finite
    disabled_since: Timestamp | None = None


class Status(ApiModel):
    """State at the operator's last reconcile."""

    observed_generation: int | None = Field(
        default=None,
        description="The generation that the status is about; -1 until the operator has seen the resource.",
    )
    active: ModelRef | None = Field(default=None, description="The model that the registry wants.")
    serving: ModelRef | None = Field(default=None, description="The model that most ready pods report.")
    rollout: Rollout | None = None
    replicas: int = Field(default=0, description="Pods that exist.")
    ready_replicas: int = Field(default=0, description="Pods that answer, whatever they serve.")
    active_replicas: int = Field(default=0, description="Ready pods that report the active model as configured.")
    selector: ShortText | None = Field(
        default=None, description="Label selector of the pods, for the scale subresource."
    )
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32, json_schema_extra=list_map("type"))] = ()
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=HISTORY_LENGTH)] = Field(
        default=(), description="Promotions, newest first."
    )
    served: Annotated[tuple[ServedModel, ...], Field(max_length=128)] = Field(
        default=(), description="Models that have served and are still in the registry or the history."
    )
    drift: DriftStatus | None = None
    service: ServiceStatus | None = None
    feedback: (
        Annotated[
            tuple[FeedbackStatus, ...], Field(max_length=MOST_FEEDBACK_VERSIONS, json_schema_extra=list_map("version"))
        ]
        | None
    ) = Field(
        default=None, description="Live accuracy by the feedback that the present pods have received; decides nothing."
    )
    prefetched: (
        Annotated[tuple[PrefetchedModel, ...], Field(max_length=64, json_schema_extra=list_map("model"))] | None
    ) = Field(default=None, description="Weights in the claim of weightsCache; see spec.serving.prefetch.")
    anti_fraud: AntiFraudStatus | None = None
    rollback: Rollback | None = None
    comparison: ComparisonStatus | None = Field(
        default=None, description="While the identification drifts and onAlarm is Rollback: the model before."
    )
    candidate: CandidateStatus | None = Field(
        default=None, description="The active model while spec.rollout.stages keep it from serving."
    )
    returned_candidates: Annotated[tuple[ReturnedCandidate, ...], Field(max_length=MOST_RETURNED)] | None = Field(
        default=None, description="Candidates that are not tried again, newest first."
    )

    @property
    def returned(self) -> tuple[ReturnedCandidate, ...]:
        """The candidates that are not tried again."""
        return self.returned_candidates or ()

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type."""
        return next((found for found in self.conditions if found.type == kind), None)


def parse_status(status: Mapping[str, Any] | None) -> Status:
    """Read a status that the operator wrote earlier; fields that cannot be read are left out."""
    given = dict(status or {})
    while True:
        try:
            return Status.model_validate(given, by_name=False)
        except ValidationError as error:
            for name in _top_fields(error):
                given.pop(name, None)


def _top_fields(error: ValidationError) -> Iterable[str]:
    return {str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"]}
