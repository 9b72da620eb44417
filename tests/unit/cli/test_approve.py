"""`approve`, `release plan`, and `promote` of a resource that asks for approvals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.approvals import approval_object
from support.kube_server import KubeServer
from support.operator_world import World, entry, manifest, model

from cetacean_operator.api.model_approval import ModelApprovalSpec, approval_name
from cetacean_operator.decisions.identity import definition

from .conftest import Run

Object = dict[str, Any]
DEFINITION = definition(model("second"))
NAME = f"whales.second.{'b' * 12}.{DEFINITION[:12]}.review.alice"


def with_policy(server: KubeServer, *, policy: Object | None = None, **candidate: Any) -> Object:
    """The resource `whales`: `first` serves, and `second` would be a major release."""
    second = entry("second", "b", **{"version": "2.0.0", "metricsSnapshot": "m.json"} | candidate)
    world = World(manifest(entry("first"), second))
    world.settle()
    world.edit(approval={} if policy is None else policy)
    world.settle()
    return server.add(world.obj)


def test_an_approval_has_the_users_own_name_and_the_digest(server: KubeServer, kubectl: Run) -> None:
    with_policy(server)
    done = kubectl("approve", "whales", "second", "--evidence", "https://ci/1", input="y\n")
    assert done.exit_code == 0, done.output
    assert f"modelapproval/{NAME}: - → Review" in done.stdout
    assert f"Review of second 2.0.0 (sha256:{'b' * 12}…) by alice" in done.stdout
    assert "missing: 1 of 2 reviews, QA by hand; given: Review by alice" in done.stdout
    (created,) = server.approvals
    assert created["metadata"]["name"] == NAME
    assert created["spec"] == {
        "resource": "whales",
        "candidate": "second",
        "digest": "b" * 64,
        "definition": DEFINITION,
        "kind": "Review",
        "approver": "alice",
        "evidence": "https://ci/1",
    }


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"), [(("--qa",), "QA", None), (("--override", "at sea"), "Override", "at sea")]
)
def test_qa_and_override_are_kinds(
    server: KubeServer, kubectl: Run, arguments: tuple[str, ...], kind: str, reason: str | None
) -> None:
    with_policy(server)
    assert kubectl("approve", "whales", "second", *arguments, "--yes").exit_code == 0
    assert (server.approvals[0]["spec"]["kind"], server.approvals[0]["spec"].get("reason")) == (kind, reason)


def test_a_dry_run_and_a_second_approval_create_nothing(server: KubeServer, kubectl: Run) -> None:
    with_policy(server)
    done = kubectl("approve", "whales", "second", "--dry-run", "-o", "json")
    assert json.loads(done.stdout)["approval"]["name"] == NAME
    assert server.approvals == []
    server.approvals.append(approval_object("alice"))
    again = kubectl("approve", "whales", "second", "--yes")
    assert (again.exit_code, len(server.approvals)) == (0, 1)
    assert "alice has approved second already (Review)" in again.stdout


def test_wrong_usage_and_models_that_cannot_be_approved(server: KubeServer, kubectl: Run) -> None:
    with_policy(server, sha256=None)
    refused = kubectl("approve", "whales", "second", "--yes")
    assert (refused.exit_code, "has no sha256" in refused.stderr) == (1, True)
    assert kubectl("approve", "whales", "third", "--yes").exit_code == 2
    assert kubectl("approve", "whales", "first", "--qa", "--override", "x").exit_code == 2
    bad = kubectl("approve", "whales", "first", "--evidence", "see the wiki", "--yes")
    assert (bad.exit_code, "evidence" in bad.stderr) == (2, True)


def test_warnings_say_that_an_approval_will_not_count(server: KubeServer, kubectl: Run) -> None:
    with_policy(server, policy={"excludeAuthor": True}, author="alice")
    assert (
        "alice wrote the entry of second: the approval will not count"
        in kubectl("approve", "whales", "second", "--yes").stderr
    )
    server.models["whales"]["spec"]["approval"] = None
    assert "the operator asks nobody" in kubectl("approve", "whales", "second", "--yes").stderr


def test_promote_needs_the_approvals_and_rollback_does_not(server: KubeServer, kubectl: Run) -> None:
    with_policy(server)
    done = kubectl("promote", "whales", "second", "--yes")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ApprovalMissing: second 2.0.0 is a major release (before it: first 1.0.0)")
    assert "`cetacean approve`" in done.stderr
    server.approvals += [approval_object(who) for who in ("alice", "bob")] + [approval_object("bob", kind="QA")]
    assert kubectl("promote", "whales", "second", "--yes").exit_code == 0
    assert server.models["whales"]["spec"]["registry"]["active"] == "second"
    server.approvals.clear()
    assert kubectl("rollback", "whales", "--to", "first", "--yes").exit_code == 0


def test_the_plan_names_type_gate_approvals_and_the_result(server: KubeServer, kubectl: Run) -> None:
    with_policy(server)
    server.approvals.append(approval_object("alice", evidence="https://ci/1"))
    shown = kubectl("release", "plan", "whales", "second").stdout.splitlines()
    assert shown[0].startswith("cetaceanmodel sea/whales: second 2.0.0 (sha256:")
    assert shown[1] == "  release: Major"
    assert shown[2].startswith("  gate: second passes against first")
    assert "missing: 1 of 2 reviews, QA by hand; given: Review by alice" in shown[3]
    assert shown[5] == "  result: the operator does not start it: ApprovalMissing"
    found = json.loads(kubectl("release", "plan", "whales", "second", "-o", "json").stdout)
    assert found["approvals"]["missing"] == ["1 of 2 reviews", "QA by hand"]
    assert found["approvals"]["given"][0]["evidence"] == "https://ci/1"
    assert found["allowed"] is False


def test_the_plan_of_a_model_that_serves_and_of_a_resource_that_asks_nobody(server: KubeServer, kubectl: Run) -> None:
    with_policy(server)
    assert "none are needed" in kubectl("release", "plan", "whales").stdout
    server.models["whales"]["spec"]["approval"] = None
    shown = kubectl("release", "plan", "whales", "second").stdout
    assert "spec.approval is absent: none are asked for" in shown
    assert "the operator rolls it out" in shown


def test_approvals_that_cannot_be_read_are_said(server: KubeServer, kubectl: Run) -> None:
    with_policy(server)
    server.has_approvals = False
    assert "the right to read ModelApprovals" in kubectl("release", "plan", "whales", "second").stdout
    failed = kubectl("approve", "whales", "second", "--yes")
    assert (failed.exit_code, "install the operator's CRDs" in failed.stderr) == (2, True)


def test_the_history_names_the_approvals(server: KubeServer, kubectl: Run) -> None:
    world = World(manifest(entry("first"), entry("second", "b", version="1.0.1")))
    world.settle()
    world.edit(approval={})
    world.approvals = [approval_object("alice", evidence="https://ci/1")]
    world.activate("second")
    world.settle()
    server.add(world.obj)
    assert "Patch: Review by alice" in kubectl("history", "whales").stdout
    newest = json.loads(kubectl("history", "whales", "-o", "json").stdout)[0]["release"]
    assert newest["approvals"][0]["evidence"] == "https://ci/1"
    assert newest["figures"]["tnr"] == 0.92


@pytest.mark.parametrize(
    ("approver", "label"),
    [
        ("alice@example.org", "alice-example-org"),
        ("system:serviceaccount:sea:Robot_1", "system-serviceaccount-sea-robot-1"),
        ("oidc:Ärzte", "oidc-rzte"),
    ],
)
def test_a_name_has_only_characters_that_names_may_have(approver: str, label: str) -> None:
    spec = ModelApprovalSpec(resource="whales", candidate="effb4_15k", digest="A" * 64, kind="QA", approver=approver)
    assert approval_name(spec) == f"whales.effb4-15k.{'a' * 12}.qa.{label}"
    exact = spec.model_copy(update={"definition": "d" * 64})
    assert approval_name(exact) == f"whales.effb4-15k.{'a' * 12}.{'d' * 12}.qa.{label}"
