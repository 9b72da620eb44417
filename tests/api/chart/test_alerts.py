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


def _rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def _alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def _cases(alert: str) -> dict[str, Any]:
    cases: dict[str, Any] = yaml.safe_load((CASES / f"{alert}.yaml").read_text())
    return cases


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
    checks = [check for case in _cases(alert)["tests"] for check in case["alert_rule_test"]]
    assert {check["alertname"] for check in checks} == {alert}
    assert {bool(check["exp_alerts"]) for check in checks} == {True, False}, "cases of both kinds"
    assert "SUCCESS" in _run(promtool, "test", "rules", CASES / f"{alert}.yaml")


@pytest.mark.parametrize("alert", [name for name in _alerts() if name.startswith("CetaceanModel")])
def test_an_alert_goes_on_if_another_pod_of_the_operator_leads(promtool: Path, tmp_path: Path, alert: str) -> None:
    cases = _cases(alert)
    fired = [(case, check) for case in cases["tests"] for check in case["alert_rule_test"] if check["exp_alerts"]]
    assert fired
    for case, check in fired:
        ends = int(check["eval_time"].removesuffix("m"))
        case["input_series"] = [one for series in case["input_series"] for one in _by_two_pods(series, ends - 2)]
        case["alert_rule_test"] = [check]
    cases |= {"rule_files": [str(RULES[0])], "tests": [case for case, _ in fired]}
    changed = tmp_path / "cases.yaml"
    changed.write_text(yaml.safe_dump(cases))
    assert "SUCCESS" in _run(promtool, "test", "rules", changed)


def _by_two_pods(series: dict[str, str], change: int) -> list[dict[str, str]]:
    """Return one series as two: a pod that leads up to a minute, and from two minutes later another one."""
    values = [value for part in series["values"].split() for value in _samples(part)]
    before = [*values[:change], "stale"]
    after = ["_"] * (change + 2) + values[change + 2 :]
    return [
        {"series": series["series"].replace("{", f'{{pod="{pod}",', 1), "values": " ".join(given)}
        for pod, given in (("a", before), ("b", after))
    ]


def _samples(part: str) -> list[str]:
    # promtool: `1x2` is a 1 and two more.
    value, _, more = part.partition("x")
    return [value] * (1 + int(more or 0))


def test_the_rendered_prometheus_rule_is_valid(promtool: Path, render: Render, tmp_path: Path) -> None:
    url = "https://wiki.example.org/runbook"
    values = {"runbookUrl": url, "metrics": {"prometheusRule": {"enabled": True}}}
    spec = render(values).one("PrometheusRule")["spec"]
    rendered = tmp_path / "rules.yaml"
    rendered.write_text(yaml.safe_dump(spec))
    assert f"{len(_rules())} rules found" in _run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rendered)
    links = {
        rule["annotations"]["runbook_url"].partition("#")[0]
        for group in spec["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert links == {url}


def test_a_release_watches_itself_and_no_other(promtool: Path, render: Render, tmp_path: Path) -> None:
    spec = render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    cases = _cases("CetaceanOperatorDown")
    (case,) = [one for one in cases["tests"] if one["name"] == "no operator is left"]
    case["input_series"].append({"series": 'cetacean_operator_leader{namespace="other",pod="c"}', "values": "1x30"})
    case["alert_rule_test"][0]["exp_alerts"][0]["exp_labels"]["namespace"] = "system"
    case["alert_rule_test"][0]["exp_alerts"][0]["exp_annotations"]["runbook_url"] = "RUNBOOK"
    cases |= {"rule_files": [str(tmp_path / "rules.yaml")], "tests": [case]}
    text = yaml.safe_dump(cases).replace("RUNBOOK", _runbook(spec))
    (tmp_path / "cases.yaml").write_text(text)
    assert "SUCCESS" in _run(promtool, "test", "rules", tmp_path / "cases.yaml")


def _runbook(spec: dict[str, Any]) -> str:
    (found,) = [
        rule["annotations"]["runbook_url"]
        for group in spec["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "CetaceanOperatorDown"
    ]
    return str(found)
