"""promtool tests each alert: it fires in the cases in which it should, and in no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import CHART, Promtool, Render

CASES = Path(__file__).with_name("alerts")
RULES = sorted((CHART / "rules").glob("*.yaml"))


def _rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def _alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def _cases(alert: str) -> dict[str, Any]:
    # Only texts: `0x15` is a zero and fifteen more to promtool, and a number to YAML.
    cases: dict[str, Any] = yaml.load((CASES / f"{alert}.yaml").read_text(), yaml.BaseLoader)
    return cases


def test_there_is_a_file_of_cases_for_each_alert_and_no_other() -> None:
    assert {file.stem for file in CASES.glob("*.yaml")} == set(_alerts())


@pytest.mark.parametrize("alert", _alerts())
def test_an_alert_fires_in_the_expected_cases_only(promtool: Promtool, alert: str) -> None:
    checks = [check for case in _cases(alert)["tests"] for check in case["alert_rule_test"]]
    assert {check["alertname"] for check in checks} == {alert}
    assert {bool(check["exp_alerts"]) for check in checks} == {True, False}, "cases of both kinds"
    assert "SUCCESS" in promtool("test", "rules", CASES / f"{alert}.yaml")


@pytest.mark.parametrize("alert", [name for name in _alerts() if name.startswith("CetaceanModel")])
def test_an_alert_goes_on_if_another_pod_of_the_operator_leads(promtool: Promtool, tmp_path: Path, alert: str) -> None:
    cases = _cases(alert)
    fired = [case for case in cases["tests"] if any(check["exp_alerts"] for check in case["alert_rule_test"])]
    assert fired
    for case in fired:
        check = [check for check in case["alert_rule_test"] if check["exp_alerts"]][-1]
        minute = int(check["eval_time"].removesuffix("m"))
        case["alert_rule_test"] = [check | {"eval_time": f"{minute + 2}m"}]
        case["input_series"] = [one for series in case["input_series"] for one in _by_two_pods(series, minute)]
    cases |= {"rule_files": [str(RULES[0])], "tests": fired}
    changed = tmp_path / "cases.yaml"
    changed.write_text(yaml.safe_dump(cases))
    assert "SUCCESS" in promtool("test", "rules", changed)


def _by_two_pods(series: dict[str, str], minute: int) -> list[dict[str, str]]:
    """Return one series as two: of a pod that leads up to a minute, and of another one from two minutes later."""
    values = [value for part in series["values"].split() for value in _samples(part)]
    values.extend(values[-1:] * 4)
    before = [*values[: minute + 1], "stale"]
    after = ["_"] * (minute + 2) + values[minute + 2 :]
    return [
        {"series": series["series"].replace("{", f'{{pod="{pod}",', 1), "values": " ".join(given)}
        for pod, given in (("a", before), ("b", after))
    ]


def _samples(part: str) -> list[str]:
    # promtool: `1x2` is a 1 and two more.
    value, _, more = part.partition("x")
    return [value] * (1 + int(more or 0))


def test_the_rendered_prometheus_rule_is_valid(promtool: Promtool, render: Render, tmp_path: Path) -> None:
    url = "https://wiki.example.org/runbook"
    values = {"runbookUrl": url, "metrics": {"prometheusRule": {"enabled": True}}}
    spec = render(values).one("PrometheusRule")["spec"]
    rendered = tmp_path / "rules.yaml"
    rendered.write_text(yaml.safe_dump(spec))
    assert f"{len(_rules())} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", rendered)
    links = {
        rule["annotations"]["runbook_url"].partition("#")[0]
        for group in spec["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert links == {url}


def test_a_release_watches_itself_and_no_other(promtool: Promtool, render: Render, tmp_path: Path) -> None:
    values = {"runbookUrl": "docs/runbook.md", "metrics": {"prometheusRule": {"enabled": True}}}
    spec = render(values).one("PrometheusRule")["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    cases = _cases("CetaceanOperatorDown")
    (case,) = [one for one in cases["tests"] if one["name"] == "no operator is left"]
    case["input_series"].append({"series": 'cetacean_operator_leader{namespace="other",pod="c"}', "values": "1x30"})
    case["alert_rule_test"][0]["exp_alerts"][0]["exp_labels"]["namespace"] = "system"
    cases |= {"rule_files": [str(tmp_path / "rules.yaml")], "tests": [case]}
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(cases))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "cases.yaml")
