"""Reading conditions, annotations and generations of Kubernetes objects."""

from __future__ import annotations

from typing import Any

import pytest

from cetacean_operator.api.objects import annotations_of, find_condition, is_status_current

READY = {"type": "Ready", "status": "True"}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        ({"status": {"conditions": [{"type": "Other", "status": "False"}, READY]}}, READY),
        ({"status": {"conditions": [{"type": "Other", "status": "False"}]}}, {}),
        ({"status": {"conditions": []}}, {}),
        ({"status": {"conditions": None}}, {}),
        ({"status": None}, {}),
        ({}, {}),
        (None, {}),
    ],
    ids=str,
)
def test_a_condition_is_found_by_its_type(obj: dict[str, Any] | None, found: dict[str, Any]) -> None:
    assert find_condition(obj, "Ready") == found


@pytest.mark.parametrize("obj", [None, {}, {"metadata": None}, {"metadata": {"annotations": None}}], ids=str)
def test_an_object_without_annotations_has_an_empty_mapping(obj: dict[str, Any] | None) -> None:
    assert annotations_of(obj) == {}


@pytest.mark.parametrize(
    ("generation", "status", "current"),
    [(2, {"observedGeneration": 2}, True), (2, {"observedGeneration": 1}, False), (1, {}, False), (1, None, False)],
)
def test_a_status_is_current_if_it_is_about_the_newest_generation(
    generation: int, status: dict[str, Any] | None, current: bool
) -> None:
    assert is_status_current({"metadata": {"generation": generation}, "status": status}) == current
