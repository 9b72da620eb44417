"""Every condition that asks for a person says what to do next, and links a section that is there."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from support.documented import anchors
from support.operator_world import BEGIN, World, entry, manifest

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, DriftReport, Observed
from cetacean_operator.api.status import LONGEST_MESSAGE
from cetacean_operator.decisions.condition_state import ConditionState, ConditionStatus
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.runbook import STEPS, add_next_steps

URL = "https://example.org/runbook/"
RUNBOOK = (Path(__file__).resolve().parents[4] / names.RUNBOOK).read_text(encoding="utf-8")


def message_of(world: World, kind: str) -> str:
    status = decide(CetaceanModel.of(copy.deepcopy(world.obj)), world.observed(), world.now, runbook_url=URL).status
    found = status.condition(kind)
    assert found is not None
    return found.message


@pytest.mark.parametrize(("kind", "reason"), sorted(STEPS))
def test_the_runbook_has_the_section_of_each_step(kind: str, reason: str) -> None:
    assert STEPS[kind, reason][0] in anchors(RUNBOOK)


def test_drift_and_systemic_rejection_link_their_sections() -> None:
    world = World()
    world.settle()
    world.drift(0.5)
    assert message_of(world, "Drifting").endswith(f"runbook: {URL}#drift")
    world.drift(0.9, requests=100, rejections=60)
    message = message_of(world, "Drifting")
    assert "0.600 of the requests" in message
    assert message.endswith(f"runbook: {URL}#systemic-rejection")
    assert "Next: check the pictures" in message
    world.drift(0.9, requests=100, rejections=50)
    assert "runbook" not in message_of(world, "Drifting"), "exactly half is not more than half"


def test_a_disabled_gate_links_its_sections() -> None:
    world = World(manifest(antiFraud={"threshold": 0.0}))
    world.settle()
    assert message_of(world, "AntiFraudDisabled").endswith(f"{URL}#gate-disabled")
    world.wait(hours=24)
    assert message_of(world, "AntiFraudDisabled").endswith(f"{URL}#recalibration-overdue")
    world.edit(antiFraud={"threshold": 0.4})
    world.settle()
    assert "runbook" not in message_of(world, "AntiFraudDisabled")


def test_a_refused_candidate_links_its_section() -> None:
    world = World(manifest(entry("first"), entry("bad", "b", metrics={"tnr": 0.1})))
    world.settle()
    world.activate("bad")
    world.settle()
    for kind in ("Stalled", "RegistryDiverged"):
        assert message_of(world, kind).endswith(f"{URL}#registry-diverged")
    assert "runbook" not in message_of(world, "Ready"), "said once is enough"


def test_a_name_conflict_and_an_invalid_spec_link_the_section_of_stalled_rollouts() -> None:
    world = World()
    taken = decide(CetaceanModel.of(world.obj), Observed(name_conflict="Service whales"), BEGIN, runbook_url=URL)
    stalled = taken.status.condition("Stalled")
    assert stalled is not None
    assert stalled.message.endswith(f"{URL}#rollout-stalled")
    world.edit(antiFraud={"threshold": 7})
    assert message_of(world, "Stalled").endswith(f"{URL}#rollout-stalled")


def test_events_have_the_link_too() -> None:
    world = World()
    world.settle()
    for fake in world.pods:
        fake.drift = DriftReport(samples=100, mean=0.1)
    world.settle()
    (event,) = [event for event in world.events if event.reason == "ScoreDropped"]
    assert event.message.endswith(f"runbook: {names.RUNBOOK}#drift")


STEP = f". Next: compare the stages prepare, queue and predict, then add replicas or processors; runbook: {URL}#latency"
MENDED = f"repair what the message names: the registry's entry, the store or the claim; runbook: {URL}"
ROUTE = (
    "compare spec.serving.route with the Gateway's listeners, and check that it allows routes of this namespace; "
    f"runbook: {URL}"
)


@pytest.mark.parametrize(
    ("kind", "problem", "step"),
    [
        ("HighLatency", "True", STEP),
        ("WeightsPrefetched", "False", f". Next: {MENDED}#weights-not-prefetched"),
        ("RouteAccepted", "False", f". Next: {ROUTE}#route-not-accepted"),
    ],
)
def test_a_condition_has_a_step_only_while_it_reports_a_problem(kind: str, problem: str, step: str) -> None:
    states: list[ConditionStatus] = ["True", "False", "Unknown"]
    for status in states:
        found = add_next_steps({kind: ConditionState(status, "Reason", "it is so")}, URL)

        message = f"it is so{step}" if status == problem else "it is so"
        assert found == {kind: ConditionState(status, "Reason", message)}


def test_a_condition_that_needs_no_person_stays_as_it_is() -> None:
    ready = {"Ready": ConditionState("True", "Serving", "it\nserves")}
    assert add_next_steps(ready, URL) == ready


def slow(message: str, base: str = URL) -> str:
    """Return the message of a condition with its step."""
    return add_next_steps({"HighLatency": ConditionState("True", "Slow", message)}, base)["HighLatency"].message


def test_a_long_message_is_cut_before_its_step() -> None:
    room = LONGEST_MESSAGE - len(STEP)
    assert slow("x" * room) == "x" * room + STEP
    assert slow("x" * (room + 1)) == "x" * (room - 1) + "…" + STEP


def test_a_message_is_cut_to_one_sign_if_its_step_takes_all_the_room() -> None:
    base = "x" * LONGEST_MESSAGE
    assert slow("too slow", base) == "…" + STEP.replace(URL, base)
