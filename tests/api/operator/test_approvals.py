"""Approvals on a real API server, given by several users under the chart's admission policies, and an operator that waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from support.accounts import CHART
from support.live_operator import OperatorProcess, condition, model, wait_until_observed

from cetacean_operator.api.model_approval import ModelApprovalSpec, approval_name
from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.waiting import until

USERS = ("alice", "bob", "carol@example.org")
NAME = "asked"


def approval(approver: str = "alice", *, name: str | None = None, resource: str = NAME, **spec: Any) -> dict[str, Any]:
    """Return an approval of `second`; its name is the expected one unless it is given."""
    content = {
        "resource": resource,
        "candidate": "second",
        "digest": "b" * 64,
        "kind": "Review",
        "approver": approver,
    } | spec
    return {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "ModelApproval",
        "metadata": {"name": name or approval_name(ModelApprovalSpec.model_validate(content))},
        "spec": content,
    }


def create(kubectl: Kubectl, user: str, manifest: dict[str, Any], *flags: str) -> str:
    """Create an object as a user."""
    return kubectl("create", "--as", user, "-f", "-", *flags, stdin=json.dumps(manifest))


def refusal(kubectl: Kubectl, user: str, manifest: dict[str, Any]) -> str:
    """Return the API server's message; a dry run passes admission too."""
    with pytest.raises(CommandError) as caught:
        create(kubectl, user, manifest, "--dry-run=server")
    return str(caught.value)


@pytest.fixture(scope="module")
def policed(namespaced: Kubectl) -> Iterator[Kubectl]:
    """The module's namespace with the chart's policies, and the chart's role for the users."""
    name = f"approvals-{uuid.uuid4().hex[:8]}"
    rendered = namespaced.run_helm(
        *("template", name, str(CHART), f"--set=fullnameOverride={name}", "--set=approvalPolicy.enabled=true"),
        *("--set=crds.install=false", f"--set-json=watchNamespaces={json.dumps([namespaced.namespace])}"),
        *("--show-only=templates/approval-policies.yaml", "--show-only=templates/aggregated-roles.yaml"),
    )
    objects = [
        found
        for found in yaml.safe_load_all(rendered)
        if found and (found["kind"] != "ClusterRole" or found["metadata"]["name"].endswith("-approver"))
    ]
    for found in objects:
        namespaced.apply(found)
    for user in USERS:
        binding = ("create", "rolebinding", f"approver-{user.partition('@')[0]}", f"--clusterrole={name}-approver")
        namespaced(*binding, f"--user={user}")
    namespaced.apply(model(NAME, approval={"excludeAuthor": False}))

    def is_enforced() -> bool:
        try:
            create(namespaced, "alice", approval("bob"), "--dry-run=server")
        except CommandError as error:
            return "spec.approver" in str(error)
        return False

    try:
        until("the admission policy to be enforced", is_enforced, within=60)
        yield namespaced
    finally:
        for found in objects:
            namespaced("delete", f"{found['kind']}/{found['metadata']['name']}", "--ignore-not-found", "--wait=false")


def test_the_policies_have_no_fault_of_type(policed: Kubectl) -> None:
    """The API server checks the expressions against the CRDs and lists what does not fit."""

    def checked() -> list[dict[str, Any]] | None:
        found = policed.get("validatingadmissionpolicies")["items"]
        ours = [item for item in found if item["metadata"]["name"].startswith("approvals-")]
        seen = [item for item in ours if item.get("status", {}).get("observedGeneration")]
        return ours if len(ours) == len(seen) else None

    for policy in until("the policies to be checked", checked, within=60) or ():
        assert policy["status"].get("typeChecking", {}).get("expressionWarnings", []) == [], policy["metadata"]["name"]


def test_nobody_approves_in_the_name_of_others(policed: Kubectl) -> None:
    message = refusal(policed, "alice", approval("bob"))
    assert "spec.approver: expected alice, who asks, got bob" in message
    assert "forbidden" in refusal(policed, "mallory", approval("mallory")).lower(), "the role is not bound to everyone"


def test_a_person_approves_once_for_each_kind(policed: Kubectl) -> None:
    other = {"resource": "other"}
    first = approval("carol@example.org", **other)
    create(policed, "carol@example.org", first)
    again = refusal(policed, "carol@example.org", approval("carol@example.org", name="again", **other))
    assert f"metadata.name: expected {first['metadata']['name']}, so that each person approves once" in again
    assert "already exists" in refusal(policed, "carol@example.org", first)
    create(policed, "carol@example.org", approval("carol@example.org", kind="QA", **other))


def test_an_approval_of_one_definition_has_a_name_of_its_own(policed: Kubectl) -> None:
    exact = {"resource": "other", "definition": "d" * 64}
    made = approval("carol@example.org", **exact)
    assert "dddddddddddd" in made["metadata"]["name"]
    create(policed, "carol@example.org", made)
    again = refusal(policed, "carol@example.org", approval("carol@example.org", name="again", **exact))
    assert f"metadata.name: expected {made['metadata']['name']}, so that each person approves once" in again
    null = approval("carol@example.org", name="null", resource="other")
    null["spec"]["definition"] = None
    assert f"expected {approval('carol@example.org', resource='other')['metadata']['name']}, so" in refusal(
        policed, "carol@example.org", null
    )


def test_an_approval_cannot_be_changed_by_anyone(policed: Kubectl) -> None:
    made = approval("alice", resource="unchanged")
    create(policed, "alice", made)
    for patch in ({"evidence": "https://example.org/1"}, {"digest": "c" * 64}, {"approver": "bob"}):
        change = json.dumps({"spec": patch})
        with pytest.raises(CommandError, match="cannot be changed: delete the approval and create another one"):
            policed("patch", "modelapproval", made["metadata"]["name"], "--type=merge", "-p", change)


def test_an_override_needs_a_right_of_its_own(policed: Kubectl) -> None:
    override = approval("bob", kind="Override", reason="nobody else is awake", resource="overridden")
    assert "Override needs the right to the verb `override`" in refusal(policed, "bob", override)
    assert "needs a reason" in refusal(policed, "bob", approval("bob", name="x", kind="Override"))
    policed("create", "role", "override", "--verb=override", "--resource=modelapprovals.ecomarineai.org")
    policed("create", "rolebinding", "override", "--role=override", "--user=bob")

    def is_allowed() -> bool:
        try:
            return bool(create(policed, "bob", override, "--dry-run=server"))
        except CommandError:
            return False

    until("the right to override", is_allowed, within=30)


def test_the_author_cannot_approve_if_the_resource_says_so(policed: Kubectl) -> None:
    authored = model("authored", approval={"excludeAuthor": True})
    authored["spec"]["registry"]["models"][1]["author"] = "alice"
    policed.apply(authored)
    mine = approval("alice", resource="authored")

    def is_refused() -> bool:
        try:
            create(policed, "alice", mine, "--dry-run=server")
        except CommandError as error:
            return "alice wrote second, and spec.approval.excludeAuthor of authored asks for another person" in str(
                error
            )
        return False

    until("the author's approval to be refused", is_refused, within=30)
    create(policed, "bob", approval("bob", resource="authored"), "--dry-run=server")
    create(policed, "alice", approval("alice", resource="not-yet-there"), "--dry-run=server")


def test_one_of_two_waits_two_of_two_and_qa_go_and_other_bytes_void_them(
    policed: Kubectl, namespaced_operator: OperatorProcess
) -> None:
    assert namespaced_operator

    def wait_until_approved_says(status: str, *texts: str) -> dict[str, Any]:
        def probe() -> dict[str, Any] | None:
            found = wait_until_observed(policed, NAME)
            approved = condition(found, "Approved")
            is_said = approved.get("status") == status and all(text in approved["message"] for text in texts)
            return found if is_said else None

        return until(f"Approved to be {status} with {texts}", probe, within=40) or {}

    policed(
        "patch",
        "cetaceanmodel",
        NAME,
        "--type=merge",
        "-p",
        json.dumps({"spec": {"approval": {"major": {"metrics": "Optional"}}}}),
    )
    activate = json.dumps({"spec": {"registry": {"active": "second"}}})
    policed("patch", "cetaceanmodel", NAME, "--type=merge", "-p", activate)
    found = wait_until_approved_says("False", "missing: 2 of 2 reviews, QA by hand")
    assert condition(found, "Stalled")["reason"] == "ApprovalMissing"
    assert policed.get("deployments")["items"] == [], "nothing starts"
    create(policed, "alice", approval("alice", evidence="https://ci.example.org/1"))
    wait_until_approved_says("False", "missing: 1 of 2 reviews, QA by hand; given: Review by alice")
    create(policed, "bob", approval("bob"))
    wait_until_approved_says("False", "missing: QA by hand; given: Review by alice, Review by bob")
    assert policed.get("deployments")["items"] == []

    second = next(item for item in found["spec"]["registry"]["models"] if item["name"] == "second")
    others = [item for item in found["spec"]["registry"]["models"] if item["name"] != "second"]

    def with_digest(digit: str) -> None:
        models = [*others, {**second, "sha256": digit * 64}]
        policed(
            "patch", "cetaceanmodel", NAME, "--type=merge", "-p", json.dumps({"spec": {"registry": {"models": models}}})
        )

    with_digest("d")
    wait_until_approved_says(
        "False", "missing: 2 of 2 reviews, QA by hand", "about other weights or another definition: 2"
    )
    with_digest("b")
    create(policed, "carol@example.org", approval("carol@example.org", kind="QA"))
    found = wait_until_approved_says("True", "QA by carol@example.org")
    release = found["status"]["history"][0]["release"]
    # Their order is by time, and within one second by the names of their objects.
    evidence = {item["approver"]: item.get("evidence") for item in release["approvals"]}
    assert evidence.keys() == {"alice", "bob", "carol@example.org"}
    assert evidence["alice"] == "https://ci.example.org/1"
    assert release["figures"]["tnr"] == 0.92
    until("the Deployment", lambda: bool(policed.get("deployments")["items"]), within=30)
    reasons = {event["reason"] for event in policed.get("events")["items"] if event["involvedObject"]["name"] == NAME}
    assert {"ApprovalMissing", "Approved", "Promoting"} <= reasons


def test_the_command_line_approves_by_the_same_rules(policed: Kubectl, namespaced_operator: OperatorProcess) -> None:
    assert namespaced_operator
    policed.apply(model("by-hand", approval={}))
    flags = ["--kubeconfig", str(policed.kubeconfig), "-n", policed.namespace]
    flags += ["--context", policed.context] if policed.context else []
    command = [sys.executable, "-m", "cetacean_cli", "approve", "by-hand", "second", "--yes", *flags]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = [item for item in policed.get("modelapprovals")["items"] if item["spec"]["resource"] == "by-hand"]
    assert [item["spec"]["kind"] for item in found] == ["Review"]
    assert "has approved second" in done.stdout
