"""The runbook's commands about approvals, with an operator: a release that waits, and a hotfix whose review is late."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.documented import Block, Shell, blocks, missing
from support.forged_pods import answering_pod, on_node
from support.live_operator import OperatorProcess, condition, model, wait_for_ready_reason
from support.plugin import install

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

REPOSITORY = Path(__file__).resolve().parents[3]
BLOCKS = list(blocks((REPOSITORY / "docs/runbook.md").read_text(encoding="utf-8")))
RunSection = Callable[[str, str], None]


def section(name: str) -> list[Block]:
    return [block for block in BLOCKS if block.section == name]


@pytest.fixture(scope="module")
def run_section(namespaced: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> RunSection:
    """Return a function that runs all blocks of a section for a resource, and compares their output."""
    programs = tmp_path_factory.mktemp("programs")
    variables = install(programs)
    (programs / "kubectl").symlink_to(namespaced.kubectl)
    variables |= {"KUBECONFIG": str(namespaced.kubeconfig), "NAMESPACE": namespaced.namespace}
    variables["PATH"] = os.pathsep.join([str(programs), os.environ["PATH"]])

    def run(name: str, resource: str) -> None:
        shell = Shell(tmp_path_factory.mktemp("shell"), {**variables, "NAME": resource})
        for block in section(name):
            done = shell.run(block.commands)
            assert done.returncode == 0, f"{block.title}\n{done.stdout}"
            absent = missing(block.expected, done.stdout)
            assert absent is None, f"expected {absent!r} after {block.title}, got:\n{done.stdout}"

    return run


def given_by_another_person(resource: str) -> dict[str, Any]:
    spec = {"resource": resource, "candidate": "second", "digest": "b" * 64, "kind": "Review", "approver": "alice"}
    return {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "ModelApproval",
        "metadata": {"name": f"{resource}-by-alice"},
        "spec": spec,
    }


def test_a_release_that_waits_is_approved(
    namespaced: Kubectl, namespaced_operator: OperatorProcess, run_section: RunSection
) -> None:
    assert namespaced_operator
    policy = {"major": {"approvals": 1, "qa": False, "metrics": "Optional"}}
    namespaced.apply(model("release", active="second", approval=policy))
    assert len(section("Approval missing")) == 2
    run_section("Approval missing", "release")


def test_a_hotfix_is_reviewed_late(
    namespaced: Kubectl, namespaced_operator: OperatorProcess, run_section: RunSection, node: str
) -> None:
    assert namespaced_operator
    # These models have no ROC AUC, so the gate would refuse the hotfix.
    policy = {"minor": {"metrics": "Optional"}, "hotfix": {"skip": ["Gate"], "reviewWithinSeconds": 1}}
    resource = model("urgent", serving=on_node(node), drift={"scrapeIntervalSeconds": 1})
    resource["spec"]["registry"]["models"][1]["hotfix"] = True
    namespaced.apply(resource)
    with answering_pod(namespaced, "urgent"):
        wait_for_ready_reason(namespaced, "urgent", "Serving")
        namespaced.apply(given_by_another_person("urgent"))
        resource["spec"]["registry"]["active"] = "second"
        namespaced.apply({**resource, "spec": {**resource["spec"], "approval": policy}})
        run_section("Hotfix review overdue", "urgent")

    def are_recorded() -> bool:
        found = namespaced.get("events")["items"]
        ours = [event["reason"] for event in found if event["involvedObject"]["name"] == "urgent"]
        return ours.count("HotfixReviewOverdue") == ours.count("HotfixReviewed") == 1

    until("both Events to be recorded once", are_recorded, within=20)
    found = namespaced.get("cetaceanmodel", "urgent")
    assert condition(found, "Approved")["status"] == "True"
    assert condition(found, "GatePassed")["reason"] == "GateSkipped"
    assert found["status"]["history"][0]["release"]["type"] == "Hotfix"
    overdue = {
        labels["name"]: value
        for labels, value in namespaced_operator.samples("cetacean_model_condition")
        if labels["type"] == "HotfixReviewOverdue"
    }
    assert overdue["urgent"] == 0.0
