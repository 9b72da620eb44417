"""Parts of the chart that are copies are equal to their originals."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.known_series import known_series, series_in

from cetacean_operator.api import names
from cetacean_operator.metrics.status_series import REASONS

REPOSITORY = Path(__file__).resolve().parents[3]
CRDS = ("ecomarineai.org_cetaceanmodels.yaml", "ecomarineai.org_modelapprovals.yaml")


@pytest.mark.parametrize("crd", CRDS)
def test_the_chart_holds_the_generated_crd(chart: Path, crd: str) -> None:
    copy, generated = (chart / "files" / crd).read_bytes(), (REPOSITORY / "crds" / crd).read_bytes()
    assert copy == generated, "run `make crd`"


@pytest.mark.parametrize("name", ["cetacean-operator", "cetacean-model"])
def test_a_chart_names_the_released_version(name: str) -> None:
    metadata = yaml.safe_load((REPOSITORY / "charts" / name / "Chart.yaml").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (metadata["name"], metadata["appVersion"]) == (name, project["version"])


def rules(kind: str) -> list[dict[str, Any]]:
    files = sorted((REPOSITORY / "charts/cetacean-operator/rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def alerts() -> list[dict[str, Any]]:
    return rules("alert")


@pytest.mark.parametrize("rule", rules("record"), ids=lambda rule: str(rule["record"]))
def test_a_recorded_series_is_made_from_series_that_exist(rule: dict[str, Any]) -> None:
    assert series_in(rule["expr"])
    assert series_in(rule["expr"]) <= known_series()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_uses_series_that_exist(alert: dict[str, Any]) -> None:
    used = series_in(alert["expr"])
    assert used
    assert used <= known_series() | {rule["record"] for rule in rules("record")}
    assert set(re.findall(r'type="(\w+)"', alert["expr"])) <= set(names.CONDITIONS)
    assert set(re.findall(r'type="(\w+)",reason="(\w+)"', alert["expr"])) <= set(REASONS)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_has_a_summary_and_a_severity(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    # The chart puts the value `runbookUrl` in place of it.
    assert page == "docs/runbook.md"
    headings = re.findall(r"^#+ (.+)$", (REPOSITORY / page).read_text(), flags=re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
