"""promtool tests each alert: it fires in the cases in which it should, and in no other."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import PROMETHEUS

from .conftest import CHART, Render

CASES = Path(__file__).with_name("alerts")
RULES = sorted((CHART / "rules").glob("*.yaml"))


def _alerts() -> dict[str, dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def promtool() -> Path:
    layout = Layout.default()
    ensure_built([PROMETHEUS], layout)
    return layout.bin / "promtool"


def _run(promtool: Path, *arguments: str | Path) -> str:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_is_a_file_of_cases_for_each_alert_and_no_other() -> None:
    assert {file.stem for file in CASES.glob("*.yaml")} == set(_alerts())


@pytest.mark.parametrize("alert", _alerts())
def test_an_alert_fires_in_the_expected_cases_only(promtool: Path, alert: str) -> None:
    file = CASES / f"{alert}.yaml"
    checks = [check for case in yaml.safe_load(file.read_text())["tests"] for check in case["alert_rule_test"]]
    assert {check["alertname"] for check in checks} == {alert}
    assert {bool(check["exp_alerts"]) for check in checks} == {True, False}, "cases of both kinds"
    assert "SUCCESS" in _run(promtool, "test", "rules", file)


def test_the_rendered_prometheus_rule_is_valid(promtool: Path, render: Render, tmp_path: Path) -> None:
    url = "https://wiki.example.org/runbook"
    values = {"runbookUrl": url, "metrics": {"prometheusRule": {"enabled": True}}}
    spec = render(values).one("PrometheusRule")["spec"]
    rendered = tmp_path / "rules.yaml"
    rendered.write_text(yaml.safe_dump(spec))
    assert f"{len(_alerts())} rules found" in _run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rendered)
    links = {
        rule["annotations"]["runbook_url"].partition("#")[0] for group in spec["groups"] for rule in group["rules"]
    }
    assert links == {url}
