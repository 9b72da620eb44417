"""`spec.rollout`: the stages that a new model must pass beside the model that serves, before it replaces it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cetacean_operator.api.base import ATOMIC, ApiModel, Passthrough, filled, rules
from cetacean_operator.api.keep_disagreements import KeepDisagreements, same_claim
from cetacean_registry.figures import Fraction

MOST_STAGES: Final = 8
_ONE_KIND = "expected exactly one of shadow and canary"
_Percent = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
_Ratio = Annotated[float, Field(ge=1.0, le=100.0, allow_inf_nan=False)]
_RATIO = "Ratio of computing times, candidate by what serves, that more than half of the answers must keep."


class MinAgreement(ApiModel):
    """Smallest shares of pictures on which the candidate agrees with what serves."""

    accepted: Fraction = Field(default=0.99, description="Of all pictures: both accept it, or both reject it.")
    species: Fraction = Field(
        default=0.98, description="Of the pictures that both accept, and of those of each species: the same species."
    )
    individual: Fraction = Field(default=0.85, description="Of the pictures that both accept: the same individual.")


class ShadowRequirement(ApiModel):
    """Requirements on the answers to the same pictures; docs/concepts.md describes how they are judged."""

    pictures: int = Field(
        default=300, ge=1, le=1_000_000, description="Pictures that both have answered; with fewer nothing passes."
    )
    min_agreement: MinAgreement = Field(default_factory=MinAgreement, json_schema_extra=filled(MinAgreement()))
    max_error_percent: _Percent = Field(
        default=1.0, description="Percentage of the copied pictures that the candidate may leave unanswered."
    )
    max_latency_ratio: _Ratio = Field(default=1.5, description=_RATIO)


class Shadow(ApiModel):
    """The candidate answers copies of the pictures that the pods have answered; clients never get its answers."""

    share: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = Field(
        default=0.25, description="Share of the answered pictures that is copied, by the digest of the picture."
    )
    require: ShadowRequirement = Field(default_factory=ShadowRequirement, json_schema_extra=filled(ShadowRequirement()))
    keep_disagreements: KeepDisagreements | None = None


class CanaryRequirement(ApiModel):
    """Requirements on the candidate's answers to clients, beside those of the other pods over the same time."""

    requests: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Requests that the candidate has answered; with fewer nothing passes.",
    )
    hold_for_seconds: int = Field(
        default=3600,
        ge=0,
        le=30 * 24 * 3600,
        description="Seconds for which the candidate must answer clients, at least.",
    )
    max_error_increase_percent: _Percent = Field(
        default=2.0,
        description="Percentage points by which answers with 5xx may be more frequent than of the other pods.",
    )
    max_latency_ratio: _Ratio = Field(
        default=1.5,
        description="Ratio to the median time of the other pods that more than half of the answers must keep.",
    )


class Canary(ApiModel):
    """The candidate answers a share of the clients' requests."""

    weight: Annotated[int, Field(ge=1, le=99)] = Field(
        description="Percentage of the requests; of those through the Gateway with spec.serving.route. Else one "
        "that whole pods can give: candidate pods by all pods."
    )
    require: CanaryRequirement = Field(default_factory=CanaryRequirement, json_schema_extra=filled(CanaryRequirement()))


class Stage(ApiModel):
    """One stage: a shadow or a canary."""

    model_config = ConfigDict(json_schema_extra=rules(("has(self.shadow) != has(self.canary)", _ONE_KIND)))

    shadow: Shadow | None = None
    canary: Canary | None = None
    timeout_seconds: int = Field(
        default=72 * 3600,
        ge=1,
        le=365 * 24 * 3600,
        description="Seconds after which a stage without a verdict is inconclusive.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.shadow is None) == (self.canary is None):
            raise ValueError(_ONE_KIND)
        return self

    @property
    def kind(self) -> Literal["Shadow", "Canary"]:
        """The kind of the stage, as the status names it."""
        return "Shadow" if self.shadow else "Canary"


class CandidatePods(ApiModel):
    """The pods of the candidate."""

    replicas: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1,
        description="Pods of the candidate. During a canary without spec.serving.route its weight and "
        "spec.serving.replicas decide.",
    )
    resources: Passthrough | None = Field(
        default=None, description="ResourceRequirements of their containers; those of spec.serving by default."
    )


_KEEPS = "has({0}.shadow) && has({0}.shadow.keepDisagreements)"
_CLAIM = "{0}.shadow.keepDisagreements.persistentVolumeClaim.claimName"
_ONE_CLAIM = (
    (
        f"!has(self.stages) || self.stages.all(a, !({_KEEPS.format('a')}) || self.stages.all(b, "
        f"!({_KEEPS.format('b')}) || {_CLAIM.format('a')} == {_CLAIM.format('b')}))"
    ),
    "expected the same keepDisagreements.persistentVolumeClaim in all shadows: pods mount one",
    ".stages",
)


class RolloutPolicy(ApiModel):
    """How a model that has never served replaces the one that serves. Absent, or without stages: at once."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_CLAIM))

    stages: Annotated[tuple[Stage, ...], Field(max_length=MOST_STAGES, json_schema_extra=ATOMIC)] = Field(
        default=(), description="The candidate passes them in this order, in the Deployment N-candidate."
    )
    candidate: CandidatePods = Field(default_factory=CandidatePods, json_schema_extra=filled(CandidatePods()))
    on_failure: Literal["Return", "Hold"] | None = Field(
        default=None,
        description="Return (by default with stages): a candidate that fails a stage is removed, and not tried again "
        "until its registry entry changes or somebody asks for it (`cetacean candidate retry`). Without stages: if a "
        "rollout passes its progress deadline, the model before serves again. Hold (by default without stages): it "
        "stays, without clients of a stage, and waits for a person.",
    )
    on_inconclusive: Literal["Hold", "Return"] = Field(
        default="Hold",
        description="Hold: a candidate whose stage ends without a verdict stays, without clients, and waits for a "
        "person. Return: it is removed as after a failure.",
    )

    @model_validator(mode="after")
    def _one_claim(self) -> Self:
        self.keep_disagreements  # noqa: B018 -- raises
        return self

    @property
    def returns_failed(self) -> bool:
        """True if what fails is taken back, and not held for a person."""
        if self.on_failure is None:
            return bool(self.stages)
        return self.on_failure == "Return"

    @property
    def keep_disagreements(self) -> KeepDisagreements | None:
        """The volume that serving pods mount. It stays between the stages, so that no stage begins with a restart."""
        return same_claim(
            stage.shadow.keep_disagreements for stage in self.stages if stage.shadow and stage.shadow.keep_disagreements
        )
