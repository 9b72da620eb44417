"""The dashboards as files: generated, complete, and about series that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.known_series import known_series, series_in

from cetacean_operator.api import names
from cetacean_tools.dashboards import BOARDS, Query, queries, written
from cetacean_tools.dashboards.boards import FOLDER

RULES = FOLDER.parent / "rules"
ALL = [(name, query) for name in BOARDS for query in queries(written(name))]


def _panels(name: str) -> dict[str, dict[str, Any]]:
    return {panel["title"]: panel for panel in json.loads(written(name))["panels"]}


def _alert(name: str) -> str:
    groups = [group for file in RULES.glob("*.yaml") for group in yaml.safe_load(file.read_text())["groups"]]
    (found,) = [rule["expr"] for group in groups for rule in group["rules"] if rule.get("alert") == name]
    return str(found)


def test_the_chart_holds_what_is_generated() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(BOARDS), "run `make dashboards`"
    for name in BOARDS:
        assert (FOLDER / f"{name}.json").read_text() == written(name), "run `make dashboards`"


@pytest.mark.parametrize(("name", "query"), ALL, ids=[f"{name}: {query.panel}" for name, query in ALL])
def test_a_query_speaks_of_series_that_exist(name: str, query: Query) -> None:
    used = series_in(query.expr)
    assert used
    assert used <= known_series()
    assert set(re.findall(r'type="(\w+)"', query.expr)) <= set(names.CONDITIONS)


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_can_be_read_by_somebody_who_did_not_write_it(name: str) -> None:
    content = json.loads(written(name))
    assert content["uid"]
    assert content["description"]
    assert content["templating"]["list"][0]["name"] == "datasource"
    for panel in content["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_lie_on_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(written(name))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place.get("x", 0), place.get("x", 0) + place["w"])
            for y in range(place.get("y", 0), place.get("y", 0) + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_playbooks_six_panels_are_there() -> None:
    panels = _panels("inference")

    def asked(title: str) -> str:
        return " ".join(target["expr"] for target in panels[title]["targets"])

    assert "availability_percent" in asked("Availability")
    assert panels["Availability"]["timeFrom"] == "7d"
    assert "rate(predictions_total" in asked("Throughput")
    assert "rate(rejections_total" in asked("Throughput")
    assert panels["Throughput"]["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    assert "latency_avg_ms" in asked("Latency")
    assert panels["Request durations"]["type"] == "heatmap"
    assert panels["Rejections by reason"]["type"] == "piechart"
    assert "rejections_by_reason" in asked("Rejections by reason")
    assert "cetacean_score_avg" in asked("Drift")
    assert "drift_baseline" in asked("Drift")
    assert "rate(errors_total" in asked("Errors")


def _line(panel: dict[str, Any]) -> float:
    (step,) = [
        step for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"] if step.get("value") is not None
    ]
    return float(step["value"])


@pytest.mark.parametrize(
    ("board", "panel", "alert", "unit"),
    [
        ("inference", "Availability", "CetaceanServiceAvailability", 1),
        ("inference", "Latency", "CetaceanServiceLatency", 1000),
        ("inference", "Errors", "CetaceanServiceErrors", 1),
        ("operator", "Wait in the queue", "CetaceanOperatorQueueStuck", 1),
    ],
)
def test_a_line_stands_where_the_alert_begins(board: str, panel: str, alert: str, unit: int) -> None:
    found = re.search(r"[<>] ([0-9.]+)$", _alert(alert))
    assert found is not None
    assert _line(_panels(board)[panel]) == pytest.approx(float(found[1]) * unit)


def test_variables_are_put_in_their_places() -> None:
    query = Query("p", 'rate(x{a="$namespace"}[$__rate_interval]) / x[$__range]', "", instant=False, unit="")
    values = {"namespace": "sea", "__range": "1h", "__rate_interval": "4m"}
    assert query.asked(values) == 'rate(x{a="sea"}[4m]) / x[1h]'


def test_written_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cetacean_tools.dashboards.__main__ import main  # noqa: PLC0415 -- a command, not a library

    (tmp_path / "old.json").write_text("{}")
    monkeypatch.setattr("sys.argv", ["dashboards", str(tmp_path)])
    main()
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.json" for name in BOARDS}


def test_the_document_names_every_panel_and_every_alert() -> None:
    text = (FOLDER.parents[2] / "docs/dashboards.md").read_text()
    groups = [group for file in RULES.glob("*.yaml") for group in yaml.safe_load(file.read_text())["groups"]]
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        anchor = rule["annotations"]["runbook_url"].partition("#")[2]
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {rule['alert']} |")]
        assert f"| {rule['labels']['severity']} |" in row
        assert f"(runbook.md#{anchor})" in row
        waits = rule.get("for", "").replace("m", " min").replace("h", " h")
        assert f" {waits}" in row if waits else " min " not in row
    for panel in json.loads(written("inference"))["panels"]:
        assert panel["type"] == "row" or f"\n| {panel['title']} |" in text
