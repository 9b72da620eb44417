"""The end-to-end test runs every command of docs/runbook.md."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from support.documented import Block, Shell, anchors, blocks, missing
from support.operator_world import SURE, World, entry, manifest

from cetacean_operator.api import names
from cetacean_operator.decisions import conditions, failures, report
from cetacean_operator.decisions.runbook import ANY, STEPS, next_step

REPOSITORY = Path(__file__).resolve().parents[3]
RUNBOOK = (REPOSITORY / "docs/runbook.md").read_text(encoding="utf-8")
BLOCKS = list(blocks(RUNBOOK))
ANCHORS = {
    *("Availability", "Latency", "Drift", "Systemic rejection", "Error rate", "Gate disabled", "Recalibration overdue"),
    *("Rollout stalled", "Signature not verified", "Registry diverged", "Wrong species"),
    *("Operator down", "Reconciles fail", "Queue stuck", "No pod ready"),
    *("Approval missing", "Hotfix review overdue", "Route not accepted", "Weights not prefetched"),
    "Image volumes unsupported",
    *("Candidate held", "Candidate returned"),
}


def test_every_block_of_commands_is_found() -> None:
    assert len(BLOCKS) == RUNBOOK.count("\n```sh\n") > 25
    assert RUNBOOK.count("```") == 2 * (len(BLOCKS) + RUNBOOK.count("\n```text\n")), "no block of another kind"


def test_every_block_is_run() -> None:
    assert [block.title for block in BLOCKS if block.not_run] == []


@pytest.mark.parametrize("section", sorted(ANCHORS))
def test_every_section_that_is_linked_has_commands(section: str) -> None:
    assert any(block.section == section for block in BLOCKS)


@pytest.mark.parametrize("section", ["Availability", "Drift", "Latency", "Systemic rejection"])
def test_an_alarm_is_shown_with_its_next_step_and_its_link(section: str) -> None:
    seen = [line for block in BLOCKS if block.section == section for line in block.expected]
    anchor = section.lower().replace(" ", "-")
    assert any(line.endswith(f"Next: … runbook: …#{anchor}") for line in seen)


def test_every_block_that_is_run_names_its_output() -> None:
    silent = [block.title for block in BLOCKS if not block.expected]
    assert silent == ["Runbook 1"], "only the set-up has nothing to show"


def links() -> set[str]:
    """The links of alerts and of the runbook itself."""
    rules = sorted((REPOSITORY / "charts/cetacean-operator/rules").glob("*.yaml"))
    alerts = "".join(file.read_text(encoding="utf-8") for file in rules)
    return {*re.findall(r"docs/runbook\.md#([\w-]+)", alerts), *re.findall(r"\(#([\w-]+)\)", RUNBOOK)}


def test_every_link_leads_to_a_section() -> None:
    assert len(links()) > 10
    assert links() - anchors(RUNBOOK) == set()


def alerts() -> list[dict[str, Any]]:
    files = sorted((REPOSITORY / "charts/cetacean-operator/rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def section(anchor: str) -> str:
    """The text below the heading with this anchor, with the sections in it."""
    parts = re.split(r"^(##+) ([^\n]+)$", RUNBOOK, flags=re.MULTILINE)
    found = [
        (len(level), heading, text) for level, heading, text in zip(*(parts[n::3] for n in (1, 2, 3)), strict=True)
    ]
    (start,) = [index for index, (_, heading, _) in enumerate(found) if anchors(f"# {heading}\n") == {anchor}]
    after = (index for index, (level, _, _) in enumerate(found) if index > start and level <= found[start][0])
    return "".join(text for _, _, text in found[start : next(after, None)])


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_the_section_that_an_alert_links_names_it(alert: dict[str, Any]) -> None:
    anchor = alert["annotations"]["runbook_url"].partition("#")[2]
    assert f"`{alert['alert']}`" in section(anchor)


def given(module: ModuleType, kind: str, *functions: str) -> Iterator[str]:
    """The words that functions of a module write into objects of a kind; those that are passed on come from elsewhere."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    chosen = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in functions]
    assert len(chosen) == len(functions)
    calls = [call for node in chosen for call in ast.walk(node) if isinstance(call, ast.Call)]
    for argument in (argument for call in calls if ast.unparse(call.func) == kind for argument in call.args[:2]):
        written = ast.unparse(argument)
        if isinstance(argument, ast.Constant):
            yield str(argument.value)
        elif written.startswith("names."):
            yield str(getattr(names, written.removeprefix("names.")))


def reasons_of_not_ready() -> set[str]:
    found = {
        *failures.PRECEDENCE,
        *given(failures, "Failure", "find_failure"),
        *given(conditions, "ConditionState", "_ready", "_diverged", "_diverged_by_stages", "invalid_spec"),
        *given(report, "ConditionState", "_blocked"),
        *(names.APPROVAL_MISSING, names.APPROVALS_UNREADABLE),
    }
    return found - {"True", "False", "Serving", "InSync", names.SCALED_TO_ZERO}


def test_each_reason_of_not_ready_is_in_the_section_that_its_condition_links() -> None:
    assert len(reasons_of_not_ready()) > 40
    for reason in sorted(reasons_of_not_ready()):
        anchor = str(next_step(names.STALLED, reason, "")).partition("#")[2]
        assert f"`{reason}`" in section(anchor), f"{reason} links #{anchor}"


@pytest.mark.parametrize(("kind", "reason"), [key for key in STEPS if key[1] != ANY])
def test_each_reason_with_a_step_of_its_own_is_in_the_section_that_it_links(kind: str, reason: str) -> None:
    assert f"`{reason}`" in section(STEPS[kind, reason][0])


def test_each_reason_of_not_ready_is_in_the_reference_of_the_conditions() -> None:
    page = (REPOSITORY / "docs/custom-resource.md").read_text(encoding="utf-8")
    table = page.split("Reasons of `Ready=False`")[1].split("\n## ")[0]
    absent = {reason for reason in reasons_of_not_ready() - {"RollingOut"} if f"`{reason}`" not in table}
    assert absent == set()


def rolled_back(**spec: Any) -> World:
    """A resource whose active model drifted, so that the one before serves again."""
    models = entry("first", metrics=SURE), entry("second", "b", metrics=SURE)
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}, **spec))
    world.settle()
    world.activate("second")
    world.settle()
    world.fail_identification()
    assert (world.deployed, world.is_("Ready")) == ("first", ("False", "RolledBack"))
    return world


def test_backup_a_deleted_deployment_comes_back_with_the_same_template() -> None:
    world = rolled_back()
    template, history = world.deployment, world.status.history
    world.children.clear()
    world.pods.clear()
    world.settle()
    assert template is not None
    assert world.deployment is not None
    assert world.deployment["spec"]["template"] == template["spec"]["template"]
    assert (world.status.history, world.is_("Ready")) == (history, ("False", "RolledBack"))


def test_backup_a_lost_status_is_restored_but_for_older_promotions() -> None:
    world = rolled_back()
    del world.obj["status"]
    world.settle()
    assert (world.deployed, world.is_("Ready")) == ("first", ("False", "RolledBack"))
    assert [item.reason for item in world.status.history] == ["DriftRollback"]


def test_backup_without_status_and_deployment_the_active_model_begins_again_without_stages() -> None:
    world = rolled_back()
    world.edit(rollout={"stages": [{"shadow": {}, "timeoutSeconds": 60}]})
    del world.obj["status"]
    world.children.clear()
    world.pods.clear()
    world.settle()
    assert (world.deployed, world.is_("Ready")[0]) == ("second", "True")
    assert [(item.model, item.reason) for item in world.status.history] == [("second", "GatePassed")]


def test_blocks_sections_and_reasons() -> None:
    document = "# A\n\n```sh\none\n```\n\n## B\n<!-- not run: no remote -->\n```sh\ntwo\n```\n\n```sh\nthree\n```\nso:\n```text\n3 … 4\n```\n"
    assert list(blocks(document)) == [
        Block("A", 1, "one\n"),
        Block("B", 1, "two\n", not_run="no remote"),
        Block("B", 2, "three\n", ("3 … 4",)),
    ]


@pytest.mark.parametrize(
    ("expected", "absent"),
    [
        (("NAME READY", "whales True"), None),
        (("whales … True",), None),
        (("whales True …",), "whales True …"),
        (("whales False",), "whales False"),
        (("whales True", "NAME READY"), "NAME READY"),
        (("NAM.",), "NAM."),
    ],
)
def test_output_is_compared_loosely_and_in_order(expected: tuple[str, ...], absent: str | None) -> None:
    assert missing(expected, "NAME     READY\nwhales   True \n") == absent


def test_a_shell_keeps_variables_and_stops_at_the_first_failure(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"PATH": os.environ["PATH"]})
    assert shell.run('export MODEL="${MODEL:-a b}"; hello() { echo "hello $1"; }').returncode == 0
    assert shell.run('hello "$MODEL"').stdout == "hello a b\n"
    failed = shell.run("false | cat; echo on")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert shell.run('echo "$NOT_SET"').returncode != 0
