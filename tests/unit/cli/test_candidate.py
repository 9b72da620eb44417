"""`candidate show`, `promote`, `abort` and `retry`, and the stages in `release plan` and `promote`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.kube_server import KubeServer
from support.operator_world import World, entry, manifest

from cetacean_operator.api.candidate import parse_decision
from cetacean_operator.api.names import ANNOTATION_DECISION

from .conftest import Run

SHADOW: dict[str, Any] = {"shadow": {"share": 0.5}, "timeoutSeconds": 3600}
CANARY: dict[str, Any] = {"canary": {"weight": 25}, "timeoutSeconds": 7200}


def staged(server: KubeServer, *stages: dict[str, Any], active: str = "second", pairs: int = 0) -> World:
    """The resource `whales`: `first` serves, and `second` is its candidate."""
    serving = {"replicas": 3}
    world = World(
        manifest(entry("first"), entry("second", "b"), serving=serving, rollout={"stages": list(stages or (SHADOW,))})
    )
    world.settle()
    world.activate(active)
    world.settle()
    if pairs:
        world.shadow(pairs)
        world.settle()
    server.add(world.obj)
    return world


def test_show_prints_the_stage_the_figures_and_each_bound(server: KubeServer, kubectl: Run) -> None:
    staged(server, pairs=200)
    shown = kubectl("candidate", "show", "whales")
    assert shown.exit_code == 0
    assert "Unknown Running: second 1.0.0, stage 1 of 1 (Shadow): 200 pictures were answered by both" in shown.stdout
    assert "pictures 200, failed 0" in shown.stdout
    assert "REQUIREMENT" in shown.stdout
    assert "same species" in shown.stdout
    found = json.loads(kubectl("candidate", "show", "whales", "-o", "json").stdout)
    assert found["candidate"]["shadow"]["pictures"] == 200
    assert found["returned"] == []


def test_the_status_names_the_candidate_and_its_verdict(server: KubeServer, kubectl: Run) -> None:
    staged(server)
    assert "second 1.0.0, stage 1 of 1 (Shadow): Running" in kubectl("status", "whales").stdout
    assert json.loads(kubectl("status", "whales", "-o", "json").stdout)["candidate"]["verdict"] == "Running"


def test_show_lists_what_has_passed_and_what_was_removed(server: KubeServer, kubectl: Run) -> None:
    world = staged(server, SHADOW, CANARY, pairs=1000)
    assert "Passed 1" in kubectl("candidate", "show", "whales").stdout
    world.decide_by_person("Abort", why="wrong weights")
    world.settle()
    server.add(world.obj)
    assert "alice aborted it: wrong weights" in kubectl("candidate", "show", "whales").stdout


def test_show_of_a_resource_without_stages(server: KubeServer, kubectl: Run) -> None:
    world = World()
    world.settle()
    server.add(world.obj)
    assert kubectl("candidate", "show", "whales").stdout == "cetaceanmodel sea/whales has no spec.rollout.stages\n"


@pytest.mark.parametrize(("command", "deployed"), [("promote", "second"), ("abort", "first")])
def test_a_decision_is_written_with_who_and_why_and_the_operator_follows_it(
    server: KubeServer, kubectl: Run, command: str, deployed: str
) -> None:
    world = staged(server)
    done = kubectl("candidate", command, "whales", "--why", "seen on the boat", input="y\n")
    assert done.exit_code == 0, done.output
    assert f"candidate second: Running → {command.title()}" in done.stdout
    written = server.models["whales"]["metadata"]["annotations"][ANNOTATION_DECISION]
    decision = parse_decision(written)
    assert decision is not None
    assert (decision.by, decision.why) == ("alice", "seen on the boat")
    world.obj["metadata"]["annotations"] = {ANNOTATION_DECISION: written}
    world.settle()
    assert (world.deployed, world.candidate) == (deployed, None)


def test_a_decision_that_was_made_already_is_not_written_again(server: KubeServer, kubectl: Run) -> None:
    world = staged(server)
    world.decide_by_person("Abort", by="bob")
    server.add(world.obj)
    done = kubectl("candidate", "abort", "whales", "--yes")
    assert (done.exit_code, server.patches) == (0, [])
    assert "bob has decided this already" in done.stdout


def test_a_removed_candidate_tries_again_and_so_it_does_each_time_somebody_asks(
    server: KubeServer, kubectl: Run
) -> None:
    world = staged(server)
    for number in (1, 2):
        world.shadow(1000, species=1000)
        world.settle()
        server.add(world.obj)
        done = kubectl("candidate", "retry", "whales", "--yes", "--why", "the pictures were at fault")
        assert done.exit_code == 0, done.output
        assert "candidate second: Disagrees → Retry" in done.stdout
        assert len(server.patches) == number
        written = server.models["whales"]["metadata"]["annotations"][ANNOTATION_DECISION]
        world.obj["metadata"]["annotations"] = {ANNOTATION_DECISION: written}
        world.settle()
        # Decisions have whole seconds: the second one is the same as the first if the test is fast.
        assert number == 2 or world.is_("CandidatePassed") == ("Unknown", "Running")


def test_a_candidate_that_runs_needs_no_other_try(server: KubeServer, kubectl: Run) -> None:
    staged(server)
    failed = kubectl("candidate", "retry", "whales", "--yes")
    assert (failed.exit_code, server.patches) == (1, [])
    assert (
        "second goes on by itself (Running): only a candidate that was held or removed can try again" in failed.stderr
    )


def test_a_promotion_that_was_made_before_may_be_asked_for_again(server: KubeServer, kubectl: Run) -> None:
    world = staged(server)
    world.decide_by_person("Promote")
    world.behave = lambda pod: setattr(pod, "ready", pod.model != "second")
    for active in ("second", "first", "second"):
        world.activate(active)
        world.settle()
    server.add(world.obj)
    assert kubectl("candidate", "promote", "whales", "--yes").exit_code == 0
    assert len(server.patches) == 1


def test_other_annotations_stay(server: KubeServer, kubectl: Run) -> None:
    world = staged(server)
    world.obj["metadata"]["annotations"] = {"note": "x"}
    server.add(world.obj)
    assert kubectl("candidate", "abort", "whales", "--yes").exit_code == 0
    assert server.models["whales"]["metadata"]["annotations"]["note"] == "x"


@pytest.mark.parametrize("command", ["promote", "abort", "retry"])
def test_without_a_candidate_there_is_nothing_to_decide(server: KubeServer, kubectl: Run, command: str) -> None:
    staged(server, active="first")
    failed = kubectl("candidate", command, "whales", "--yes")
    assert (failed.exit_code, server.patches) == (1, [])
    assert "first is no candidate: no stages keep it" in failed.stderr


def test_a_status_about_an_older_spec_decides_nothing(server: KubeServer, kubectl: Run) -> None:
    world = staged(server)
    world.obj["metadata"]["generation"] += 1
    server.add(world.obj)
    failed = kubectl("candidate", "promote", "whales", "--yes")
    assert failed.exit_code == 1
    assert "the operator has not acted on the present spec yet" in failed.stderr


def test_the_plan_names_the_stages(server: KubeServer, kubectl: Run) -> None:
    staged(server, SHADOW, CANARY, active="first")
    shown = kubectl("release", "plan", "whales", "second").stdout
    assert (
        "stages: 1. shadow of 0.5 of the pictures, at least 300, 1 pods, inconclusive after 3600 s; "
        "2. canary of 25 % of the requests, at least 100, 1 pods, inconclusive after 7200 s" in shown
    )
    assert "result: the operator starts its stages, and rolls it out if it passes them" in shown
    assert "none for this model: the pods are replaced" in kubectl("release", "plan", "whales", "first").stdout


def test_the_plan_says_why_stages_cannot_run(server: KubeServer, kubectl: Run) -> None:
    staged(server, {"canary": {"weight": 10}}, active="first")
    shown = kubectl("release", "plan", "whales", "second").stdout
    assert "3 pods cannot give a candidate 10 %" in shown
    assert "result: the operator does not start it: Impossible" in shown


def test_promote_starts_the_stages(server: KubeServer, kubectl: Run) -> None:
    staged(server, active="first")
    assert kubectl("promote", "whales", "second", "--yes").exit_code == 0
    assert server.models["whales"]["spec"]["registry"]["active"] == "second"
