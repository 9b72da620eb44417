"""The pictures of docs/benchmarks.md show what was measured last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmarks import pictures
from benchmarks.inference import report

from cetacean_tools.workspace import REPOSITORY

RESULTS = sorted(pictures.RESULTS.glob("*.json"))
PAGE = REPOSITORY / "docs/benchmarks.md"


def measured(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: str(path.stem))
def test_the_page_is_not_stale(path: Path) -> None:
    picture = pictures.IMAGES / f"benchmark-{path.stem}.svg"
    panels = tuple(pictures.PANELS[path.stem](measured(path)))
    assert pictures.shown(picture) == pictures.digest(panels), "run `make bench-pictures`"
    assert f"(images/{picture.name})" in PAGE.read_text(encoding="utf-8")
    assert picture.stat().st_size < 60_000


def test_the_results_hold_figures() -> None:
    assert [path.stem for path in RESULTS if path.stem not in pictures.PANELS] == []
    assert RESULTS


def test_a_picture_shows_the_figures_and_other_figures_make_another(tmp_path: Path) -> None:
    found = measured(pictures.RESULTS / "inference.json")
    first = pictures.draw("inference", found, folder=tmp_path)
    texts = [text for element in ET.parse(first).iter() for text in [element.text] if text]
    assert f"{found['plain']['p50_ms_single']:.0f}" in texts
    assert {"ours", "plain eager"} <= set(texts)
    before = pictures.shown(first)
    assert before is not None
    again = pictures.draw("inference", {**found, "load_average_at_end": 99}, folder=tmp_path)
    assert pictures.shown(again) == before, "what is not shown does not count"
    other = pictures.draw("inference", {**found, "p50_ms_single": 1.0}, folder=tmp_path)
    assert pictures.shown(other) not in (None, before)


def test_a_benchmark_that_keeps_its_figures_draws_them(tmp_path: Path) -> None:
    found = {**measured(pictures.RESULTS / "inference.json"), "p50_ms_single": 123.0}
    (tmp_path / "images").mkdir()
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.write(found, json_file=tmp_path / "results/inference.json", document=page)
    written = page.read_text(encoding="utf-8")
    assert "| 123 |" in written
    assert written.startswith("before\n")
    assert written.endswith(f"{report.END}\nafter\n")
    assert "old" not in written
    drawn = pictures.shown(tmp_path / "images/benchmark-inference.svg")
    again = measured(tmp_path / "results/inference.json")
    assert drawn == pictures.digest(tuple(pictures.PANELS["inference"](again)))


def test_a_missing_measurement_has_no_bar(tmp_path: Path) -> None:
    one = {"create_seconds": 3.0, "switch_seconds": 2.0}
    mine = {**one, "single_switch_p95_ms": 247.0, "rss_mb": 4321.0}
    drawn = pictures.draw("operator", {"floor": {"10": one}, "ours": {"10": one, "200": mine}}, folder=tmp_path)
    texts = [element.text for element in ET.parse(drawn).iter()]
    assert texts.count("4321") == texts.count("247") == 1
    assert "Deployment controller" in texts
    assert "Argo Rollouts" not in texts
    assert not {"nan", "None"} & set(texts)
