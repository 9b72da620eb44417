"""The table of cases and schemes in docs/weights.md names tests that exist and run for each scheme."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support.operator_world import entry, manifest

from cetacean_inference.settings import GateSettings
from cetacean_inference.weights.file_sets import DEFAULT_GATE, DEFAULT_GATE_URL
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.decisions.identity import rollout_of

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs/weights.md").read_text(encoding="utf-8")
TESTS = REPOSITORY / "tests/unit/inference/weights"
CASES = ("good", "missing", "denied", "truncated", "resumed", "wrong digest", "wrong authority")
COLUMNS = {1: TESTS / "test_remote_schemes.py", 2: TESTS / "test_mounted_schemes.py"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("column", COLUMNS)
def test_each_case_names_a_test_for_each_scheme_or_says_why_there_is_none(case: str, column: int) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {case} |")]
    cell = row.strip("| ").split(" | ")[column]
    if cell.startswith("none: "):
        return
    name = cell.strip("`")
    assert re.search(rf"^@EACH\ndef {name}\(", COLUMNS[column].read_text(encoding="utf-8"), re.MULTILINE)


def test_the_page_says_where_the_default_gate_comes_from_and_how_to_name_a_copy() -> None:
    section = PAGE.split("## Without the internet\n")[1].split("\n## ")[0]
    assert f"`{DEFAULT_GATE_URL}`" in section
    assert f"`{DEFAULT_GATE[0]}`" in section
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    spec = parse_spec(manifest(entry("first"), **yaml.safe_load(block)["spec"])["spec"])
    env = rollout_of(spec.registry.active_model, spec.anti_fraud).env
    given = yaml.safe_load(block)["spec"]["antiFraud"]["model"]
    assert env["CETACEAN_GATE__WEIGHTS_URL"] == given["weightsURL"]
    assert env["CETACEAN_GATE__SHA256"] == given["sha256"]
    assert GateSettings(weights_url=given["weightsURL"]).architecture == DEFAULT_GATE[0]
