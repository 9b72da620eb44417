"""Pictures are drawn of whatever Prometheus answers, also of nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks.dashboards.drawing import Series, draw
from matplotlib import rc_context
from matplotlib.image import imread

from cetacean_tools.dashboards import BOARDS, Query, written
from cetacean_tools.dashboards.queries import queries

END = 1_000_000.0
MOMENTS = [END - 60, END - 30, END]


def _answer(query: Query) -> Sequence[Series]:
    labels = {"pod": "whales-a", "reason": "low_confidence", "type": "Ready", "result": "ok", "verb": "get"}
    value = "1"
    if query.instant:
        return [{"metric": labels, "value": [END, value]}]
    bounds = ("0.1", "1", "+Inf") if query.legend == "{{le}}" else ("",)
    return [
        {
            "metric": {**labels, "le": bound},
            "values": [[MOMENTS[0], "NaN"], *([moment, value] for moment in MOMENTS[1:])],
        }
        for bound in bounds
    ]


def _nothing(_query: Query) -> Sequence[Series]:
    return []


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("ask", [_answer, _nothing])
def test_a_picture_of_every_dashboard(tmp_path: Path, name: str, ask: object) -> None:
    path = tmp_path / "picture.png"
    draw(path, written(name), ask, end=END)  # type: ignore[arg-type]
    height, width, _ = imread(path).shape
    assert width > 1000
    assert height > 500


def test_what_is_answered_is_seen(tmp_path: Path) -> None:
    with_data, without = tmp_path / "a.png", tmp_path / "b.png"
    draw(with_data, written("inference"), _answer, end=END)
    draw(without, written("inference"), _nothing, end=END)
    assert (imread(with_data) != imread(without)).any(axis=2).mean() > 0.01


@pytest.mark.parametrize("name", BOARDS)
def test_a_panel_without_data_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picture.svg"
    with rc_context({"svg.fonttype": "none"}):  # text, and not the outlines of its letters
        draw(path, written(name), _nothing, end=END)
    panels = {query.panel for query in queries(written(name))}
    assert path.read_text(encoding="utf-8").count(">No data<") == len(panels)
