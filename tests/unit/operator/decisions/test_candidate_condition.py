"""The condition CandidatePassed: of a candidate that runs stages, and of the model that has passed them."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import entry, manifest, model

from cetacean_operator.api.candidate import CandidateStatus, PassedStage, PersonDecision
from cetacean_operator.api.spec import Spec, parse_spec
from cetacean_operator.api.status import HistoryEntry
from cetacean_operator.decisions.candidate_condition import candidate_condition
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import definition
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.stages import Stages, StageState

STAGES = {"stages": [{"shadow": {}}, {"canary": {"weight": 50}}]}
GATE = ConditionState("True", "GatePassed", "second passes")
NOTHING_RUNS = Choice(None, GATE)
PASSED = PassedStage(kind="Shadow", digest="0" * 16, at="2026-01-01T00:00:00Z", message="all agree")
BY_ALICE = PersonDecision(decision="Promote", model="second", rollout="r", by="alice", at="2026-01-02T00:00:00Z")
NO_CANDIDATE = ConditionState("Unknown", "NoCandidate", "the active model runs no stages")


def spec_with(rollout: dict[str, Any] | None) -> Spec:
    return parse_spec(manifest(entry("first"), entry("second", "b"), active="second", rollout=rollout)["spec"])


def promoted(name: str, digit: str, **changes: Any) -> HistoryEntry:
    return HistoryEntry(
        model=name,
        version="1.0.0",
        digest=digit * 64,
        definition=definition(model(name, digit)),
        weights_url=f"https://example.org/{name}.ckpt",
        at="2026-01-03T00:00:00Z",
        reason="GatePassed",
        why="it passes",
        **changes,
    )


@pytest.mark.parametrize("rollout", [STAGES, {"stages": []}, None], ids=["stages", "no stages", "no rollout"])
def test_a_candidate_has_the_condition_of_its_stages_or_of_its_rollout_that_was_taken_back(
    rollout: dict[str, Any] | None,
) -> None:
    shown = CandidateStatus(model="second", version="1.0.0", rollout="r", stages=2, verdict="Running", message="m")
    running = ConditionState("Unknown", "Running", "second 1.0.0, stage 1 of 2 (Shadow): m")
    choice = Choice(None, GATE, stages=Stages(StageState.RUNNING, running, shown))
    assert candidate_condition(spec_with(rollout), choice, (promoted("first", "a"),)) == running


@pytest.mark.parametrize("rollout", [{"stages": []}, None], ids=["no stages", "no rollout"])
def test_without_stages_there_is_no_condition(rollout: dict[str, Any] | None) -> None:
    history = (promoted("second", "b", stages=(PASSED,)),)
    assert candidate_condition(spec_with(rollout), NOTHING_RUNS, history) is None


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (
            (promoted("second", "b", stages=(PASSED, PASSED)), promoted("first", "a")),
            ConditionState("True", "Agrees", "second 1.0.0 passed 2 stages and was promoted at 2026-01-03T00:00:00Z"),
        ),
        (
            (promoted("second", "b", stages=(PASSED,), decision=BY_ALICE), promoted("first", "a")),
            ConditionState("True", "PromotedByPerson", "second 1.0.0: alice promoted it at 2026-01-03T00:00:00Z"),
        ),
        ((promoted("second", "b"),), NO_CANDIDATE),
        ((promoted("first", "a"), promoted("second", "b", stages=(PASSED,))), NO_CANDIDATE),
        ((promoted("second", "c", stages=(PASSED,)),), NO_CANDIDATE),
        ((), NO_CANDIDATE),
    ],
    ids=["all stages", "a person", "at once", "promoted before another one", "other weights", "nothing promoted"],
)
def test_the_last_promotion_says_how_the_active_model_passed(
    history: tuple[HistoryEntry, ...], expected: ConditionState
) -> None:
    assert candidate_condition(spec_with(STAGES), NOTHING_RUNS, history) == expected
