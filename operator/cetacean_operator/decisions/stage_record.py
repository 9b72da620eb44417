"""How far a candidate has come, in an annotation of its Deployment: it is written with what it describes.

If the operator was away, or the status was lost, the stages go on from here (docs/decisions, 16).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationError, field_serializer

from cetacean_operator.api import names
from cetacean_operator.api.base import ApiModel, Timestamp
from cetacean_operator.api.candidate import PassedStage, StageKind
from cetacean_operator.api.objects import annotations_of
from cetacean_operator.api.observed import Object
from cetacean_operator.api.stages import MOST_STAGES, Stage
from cetacean_registry.digests import canonical_digest
from cetacean_registry.registry import ShortText

_Count = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0.0)]
"""The last bound is infinite."""


class PodCounters(ApiModel):
    """The counters of one pod, which only grow until it restarts."""

    requests: _Count = 0.0
    errors: _Count = 0.0
    times: Annotated[dict[_Seconds, _Count], Field(max_length=64)] | None = None
    """Answers by the seconds that they took at most; None if they are not known."""

    @field_serializer("times")
    def _as_json(self, times: dict[float, float] | None) -> dict[str, float] | None:
        return None if times is None else {repr(bound): number for bound, number in times.items()}


class CanaryBegin(ApiModel):
    """The counters of all pods when the candidate began to answer clients."""

    at: Timestamp
    weight: int
    """Percent of the requests that it was to get: with another one it begins again."""
    pods: Annotated[dict[str, PodCounters], Field(max_length=4096)]
    """By uid; those of the candidate that came later are here as soon as they are ready."""


class Hold(ApiModel):
    """A verdict that waits for a person."""

    stage: ShortText
    """Digest of the stage; if a person changes it, the stage begins again."""
    reason: ShortText
    message: Annotated[str, Field(max_length=4096)]
    at: Timestamp
    retry: Timestamp | None = None
    """The decision to try again that the stage ran under; after a later one it begins again."""


class StageRecord(ApiModel):
    """The record of one candidate beside one model that serves."""

    rollout: ShortText
    """Of the candidate: weights and configuration."""
    served: ShortText
    """Of what serves."""
    stage: int | None = None
    """Number of the stage that runs, from 0; None if none has begun."""
    kind: StageKind | None = None
    since: Timestamp | None = None
    """When the stage began."""
    passed: Annotated[tuple[PassedStage, ...], Field(max_length=MOST_STAGES)] = ()
    canary: CanaryBegin | None = None
    """None until all pods of a canary are ready: no client reaches the candidate before."""
    hold: Hold | None = None

    def text(self) -> str:
        """Return the annotation; not as ASCII, whose escapes take up to twelve bytes for a character."""
        return json.dumps(self.wire(), sort_keys=True, ensure_ascii=False)


def read_stage_record(deployment: Object | None) -> StageRecord | None:
    """Return the record of a candidate's Deployment, None if it has none that can be read."""
    try:
        return StageRecord.model_validate_json(annotations_of(deployment)[names.ANNOTATION_STAGES])
    except (KeyError, ValidationError):
        return None


def runs_stages(deployment: Mapping[str, object] | None) -> bool:
    """Return true if a Deployment is that of a candidate that runs stages, not one that drift compares."""
    return names.ANNOTATION_STAGES in annotations_of(deployment)


def stage_digest(stage: Stage) -> str:
    """Return a digest of a stage as spec.rollout names it."""
    return canonical_digest(stage.wire())[:16]
