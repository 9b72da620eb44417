"""The record of a candidate's stages as its annotation holds it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.stages import Stage
from cetacean_operator.decisions.stage_record import (
    CanaryBegin,
    Hold,
    PodCounters,
    StageRecord,
    read_stage_record,
    runs_stages,
    stage_digest,
)

AT = "2026-01-01T00:00:00Z"
RECORD = StageRecord(
    rollout="r",
    served="s",
    stage=0,
    kind="Canary",
    since=AT,
    canary=CanaryBegin(at=AT, weight=50, pods={"p": PodCounters(requests=7, times={0.1: 3, math.inf: 7})}),
    hold=Hold(stage="d", reason="Slower", message="Antwort zu spät", at=AT),
)
TEXT = (
    '{"canary": {"at": "2026-01-01T00:00:00Z", "pods": {"p": {"errors": 0.0, "requests": 7.0, "times": {"0.1": 3.0, '
    '"inf": 7.0}}}, "weight": 50}, "hold": {"at": "2026-01-01T00:00:00Z", "message": "Antwort zu spät", "reason": "Slower", "stage": '
    '"d"}, "kind": "Canary", "passed": [], "rollout": "r", "served": "s", "since": "2026-01-01T00:00:00Z", "stage": 0}'
)


def deployment(annotations: dict[str, Any] | None) -> Object:
    return {"metadata": {"annotations": annotations}}


def test_a_record_is_written_with_its_keys_in_order_and_without_escapes() -> None:
    assert RECORD.text() == TEXT


def test_a_record_is_read_as_it_was_written() -> None:
    found = deployment({names.ANNOTATION_STAGES: TEXT})
    assert (read_stage_record(found), runs_stages(found)) == (RECORD, True)


@pytest.mark.parametrize("found", [None, {}, deployment(None), deployment({}), deployment({"other": TEXT})])
def test_a_deployment_without_the_annotation_has_no_record(found: Object | None) -> None:
    assert (read_stage_record(found), runs_stages(found)) == (None, False)


@pytest.mark.parametrize("text", [None, "", "null", "[]", "{", json.dumps({"rollout": "r"})])
def test_a_record_that_cannot_be_read_is_none(text: str | None) -> None:
    found = deployment({names.ANNOTATION_STAGES: text})
    assert (read_stage_record(found), runs_stages(found)) == (None, True)


def test_a_stage_is_named_by_sixteen_digits_that_change_with_it() -> None:
    shadow, other = Stage.model_validate({"shadow": {}}), Stage.model_validate({"shadow": {"share": 0.5}})
    assert stage_digest(shadow) == stage_digest(Stage.model_validate({"shadow": {"share": 0.25}}))
    assert stage_digest(shadow) != stage_digest(other)
    assert [len(stage_digest(one)) for one in (shadow, other)] == [16, 16]
