"""The facts that stages depend on: the comparison that serving pods have been asked for, and objects in the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.operator_world import BEGIN

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.decisions.stage_input import StageInput, planned_run


def config_map(text: Any) -> Object:
    return {"data": {names.MONITORING_FILE: text}}


def test_a_monitoring_file_names_the_comparison_that_pods_run() -> None:
    assert planned_run(config_map(json.dumps({"shadow": {"run": "abc"}}))) == "abc"


@pytest.mark.parametrize(
    "live",
    [
        None,
        {},
        {"data": None},
        {"data": []},
        {"data": {"another.json": json.dumps({"shadow": {"run": "abc"}})}},
        config_map(None),
        config_map(""),
        config_map("{"),
        config_map("null"),
        config_map("[]"),
        config_map("{}"),
        config_map(json.dumps({"shadow": None})),
        config_map(json.dumps({"shadow": {}})),
        config_map("[" * 100_000),
    ],
)
def test_a_monitoring_file_that_names_no_comparison_names_none(live: Object | None) -> None:
    assert planned_run(live) is None


def test_an_object_of_someone_else_blocks_the_candidate_and_the_message_says_what_to_do() -> None:
    assert StageInput(name="whales", now=BEGIN).blocked is None
    assert StageInput(name="whales", now=BEGIN, name_conflict="Service whales-candidate").blocked == (
        "Service whales-candidate exists and is not this resource's, so no candidate can run: rename one of the two"
    )


def test_the_time_is_a_timestamp() -> None:
    assert StageInput(name="whales", now=BEGIN).at == "2026-01-01T00:00:00Z"
