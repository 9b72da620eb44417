"""The end-to-end test runs every command of docs/runbook.md."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from support.documented import Block, Shell, anchors, blocks, missing

REPOSITORY = Path(__file__).resolve().parents[3]
RUNBOOK = (REPOSITORY / "docs/runbook.md").read_text(encoding="utf-8")
BLOCKS = list(blocks(RUNBOOK))
ANCHORS = {
    *("Availability", "Latency", "Drift", "Systemic rejection", "Error rate", "Gate disabled", "Recalibration overdue"),
    *("Rollout stalled", "Operator down", "Registry diverged", "Wrong species"),
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
