"""`spec` of a CetaceanModel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from cetacean_operator.api.approval_policy import ApprovalPolicy
from cetacean_operator.api.base import ApiModel, Timestamp, filled, list_map, rules
from cetacean_operator.api.drift_signals import DriftSignals
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.stages import RolloutPolicy
from cetacean_registry.companions import COMPANION_FILES, Sha256
from cetacean_registry.errors import describe
from cetacean_registry.figures import Fraction, ModelMetrics
from cetacean_registry.patterns import REVISION_PATTERN
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import ModelEntry, ModelName, WeightsUrl, check_names

MAX_MODELS = 64
P = TypeVar("P", bound=ApiModel)


class Model(ModelEntry):
    """A registry entry with the metrics of its snapshot."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra=rules(
            (
                (
                    "!has(self.numClassesHead) || !has(self.numClassesActive) || "
                    "self.numClassesActive <= self.numClassesHead"
                ),
                "must be at most numClassesHead",
                ".numClassesActive",
            ),
            (
                f"!has(self.files) || self.files.all(name, name in {list(COMPANION_FILES)})",
                f"expected the names {' and '.join(COMPANION_FILES)}",
                ".files",
            ),
        ),
    )

    metrics: ModelMetrics | None = Field(
        default=None, description="From the metrics snapshot; a missing metric makes the gate refuse the model."
    )


class RegistrySpec(ApiModel):
    """The mirror of `models/registry.json`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.models.exists(model, model.name == self.active)",
                "names none of spec.registry.models",
                ".active",
            )
        )
    )

    schema_version: Annotated[str, Field(pattern=r"^1\.[0-9]+$", max_length=16)] = Field(
        default="1.0", description="Version of the registry file's format."
    )
    active: ModelName = Field(description="The model to serve: the one field that promotes and rolls back.")
    models: Annotated[
        tuple[Model, ...], Field(min_length=1, max_length=MAX_MODELS, json_schema_extra=list_map("name"))
    ] = Field(description="All models, in the file's order.")

    @model_validator(mode="after")
    def _names_are_consistent(self) -> Self:
        check_names(self.active, [model.name for model in self.models])
        return self

    @property
    def active_model(self) -> Model:
        """The entry that `active` names."""
        return next(model for model in self.models if model.name == self.active)


class GateModel(ApiModel):
    """The open_clip model of the anti-fraud gate."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.weightsURL) || !has(self.configURL)",
                "configURL describes a gate of one's own: expected weightsURL beside it",
            ),
            ("has(self.configURL) || !has(self.configSHA256)", "expected configURL beside configSHA256"),
            (
                "!has(self.revision) || !has(self.weightsURL)",
                "revision is the pretrained tag's: expected it in weightsURL (hf://…@revision)",
            ),
        )
    )

    architecture: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="open_clip's name of the model; ViT-B-32 by default."
    )
    pretrained: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="open_clip's pretrained tag; laion2b_s34b_b79k by default."
    )
    config_url: WeightsUrl | None = Field(default=None, alias="configURL", description="open_clip model config, JSON.")
    config_sha256: Sha256 | None = Field(
        default=None, alias="configSHA256", description="SHA-256 of that configuration, 64 hex digits."
    )
    weights_url: WeightsUrl | None = Field(default=None, alias="weightsURL", description="State dict of the gate.")
    sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of the gate's weights, also of a pretrained tag's, 64 hex digits."
    )
    revision: Annotated[str, Field(pattern=REVISION_PATTERN, max_length=253)] | None = Field(
        default=None, description="Branch, tag or commit of the pretrained tag's repository on the Hugging Face Hub."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.config_url and self.weights_url is None:
            raise ValueError("configURL describes a gate of one's own: expected weightsURL beside it")
        if self.config_sha256 and self.config_url is None:
            raise ValueError("expected configURL beside configSHA256")
        if self.revision and self.weights_url:
            raise ValueError("revision is the pretrained tag's: expected it in weightsURL (hf://…@revision)")
        return self


class AntiFraud(ApiModel):
    """The anti-fraud gate of the service, which rejects pictures that show no marine mammal."""

    threshold: Fraction = Field(
        default=0.52, description="Smallest cetacean score accepted; 0.0 accepts everything: an emergency measure."
    )
    calibrated_at: Timestamp | None = Field(default=None, description="When the threshold was calibrated, ISO 8601.")
    model: GateModel | None = Field(default=None, description="An open_clip model instead of the default one.")


class Drift(ApiModel):
    """Bounds of drift: how far scores of served pictures may lie below the baseline."""

    model_config = ConfigDict(
        json_schema_extra=rules(("self.minSamples <= self.window", "must be at most window", ".minSamples"))
    )

    window: int = Field(default=1000, ge=1, le=1_000_000, description="Number of newest samples that each pod keeps.")
    min_samples: int = Field(
        default=50, ge=1, le=1_000_000, description="Fewer samples, over all pods, raise no alarm."
    )
    alarm_drop: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = Field(
        default=0.10, description="The mean raises an alarm if it lies this far below the model's baseline."
    )
    max_rejection_rate: Fraction = Field(
        default=0.5, description="A larger share of requests rejected as no marine mammal is a systemic fault."
    )
    scrape_interval_seconds: int = Field(default=30, ge=1, le=3600, description="Seconds between two scrapes of a pod.")
    on_alarm: Literal["Alert", "Rollback"] = Field(
        default="Alert",
        description="Rollback: if the identification drifts, the model before answers the same pictures, and "
        "serves again, once, if it does better on them.",
    )
    signals: DriftSignals = Field(default_factory=DriftSignals, json_schema_extra=filled(DriftSignals()))

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.min_samples > self.window:
            raise ValueError(f"minSamples must be at most window ({self.window}), got {self.min_samples}")
        return self


class ServiceLevel(ApiModel):
    """Service level for clients. If it is missed, a condition says so; nothing else happens."""

    min_availability_percent: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = Field(
        default=95.0, description="Percentage of the newest requests that must not be answered with 5xx."
    )
    max_p95_seconds: Annotated[float, Field(gt=0.0, le=300.0, allow_inf_nan=False)] = Field(
        default=2.0, description="95 of 100 single pictures must be answered within this time."
    )
    min_requests: int = Field(
        default=20, ge=1, le=1_000_000, description="Fewer requests, over all pods, are not judged."
    )
    window: int = Field(
        default=200,
        ge=1,
        le=1_000_000,
        description="The p95 covers at least so many of the newest answers of each pod.",
    )


class Spec(ApiModel):
    """The wanted state, written by a person or by the registry's mirror, never by the operator."""

    registry: RegistrySpec
    serving: Serving
    anti_fraud: AntiFraud = Field(default_factory=AntiFraud, json_schema_extra=filled(AntiFraud()))
    gates: GatePolicy = Field(
        default_factory=GatePolicy,
        description="Metrics that a candidate must reach to be promoted.",
        json_schema_extra=filled(GatePolicy()),
    )
    approval: ApprovalPolicy | None = Field(
        default=None, description="Who must approve a model that has never served; absent: nobody."
    )
    rollout: RolloutPolicy | None = Field(
        default=None, description="Stages that a model must pass before it serves; absent: none."
    )
    drift: Drift = Field(default_factory=Drift, json_schema_extra=filled(Drift()))
    service_level: ServiceLevel = Field(default_factory=ServiceLevel, json_schema_extra=filled(ServiceLevel()))


DEEPEST: Final = 64
"""Levels of nesting in a spec. The API server takes 10,000 in fields without a schema, clients parse far fewer."""


class InvalidResourceError(ValueError):
    """A spec that cannot be read; the message names each faulty field."""


def _is_deeper_than(value: object, levels: int) -> bool:
    """Return true if objects and lists are nested deeper; no children can then be derived that clients can parse."""
    if not isinstance(value, Mapping | list):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_deeper_than(one, levels - 1) for one in inner)


def parse_spec(spec: Mapping[str, Any] | None) -> Spec:
    """Read a spec.

    Raises:
        InvalidResourceError: naming each faulty field, in one line.
    """
    if _is_deeper_than(spec, DEEPEST):
        raise InvalidResourceError(f"spec: expected at most {DEEPEST} levels of nesting, got more")
    try:
        return Spec.model_validate(spec or {}, by_name=False)
    except ValidationError as error:
        raise InvalidResourceError(describe(error)) from error


def parse_part(part: type[P], spec: Mapping[str, Any] | None, field: str) -> P:
    """Read one part of a spec, whatever the rest is; return its defaults if it is absent or cannot be read.

    Args:
        part: its type.
        spec: the whole spec.
        field: its name in the resource.
    """
    try:
        return part.model_validate((spec or {}).get(field) or {}, by_name=False)
    except ValidationError:
        return part()
