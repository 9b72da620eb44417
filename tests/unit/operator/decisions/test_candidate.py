"""The verdict on a candidate that has never served: its gate, its approvals, and what the history keeps of them."""

from __future__ import annotations

from typing import Any

from support.approvals import approval
from support.operator_world import SURE, entry, manifest, model

from cetacean_operator.api.model_approval import Approval, Approvals
from cetacean_operator.api.spec import Model, Spec, parse_spec
from cetacean_operator.api.status import GivenApproval, Release, Status
from cetacean_operator.decisions.candidate import CandidateVerdict, judge_candidate
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.serving_history import ServingHistory

FIRST = model("first")
NEXT = {"version": "1.0.1", "metricsSnapshot": "reports/second.json"}


def spec_with(policy: dict[str, Any] | None) -> Spec:
    return parse_spec(manifest(entry("first"), entry("second", "b", **NEXT), approval=policy)["spec"])


def judged(
    candidate: Model,
    *given: Approval,
    serving: Model | None = FIRST,
    policy: dict[str, Any] | None = None,
    unreadable: str | None = None,
) -> CandidateVerdict:
    return judge_candidate(
        candidate,
        serving,
        spec=spec_with(policy),
        history=ServingHistory(Status(), (), (FIRST,)),
        approvals=Approvals(given, unreadable),
    )


def candidate(**changes: Any) -> Model:
    return model("second", "b", **NEXT | changes)


MINIMA = "TNR 0.9200 is at least 0.9000 (minTNR); TPR 0.9500 is at least 0.8500 (minTPR)"
AGAINST_FIRST = ConditionState(
    "True",
    "GatePassed",
    f"second passes against first: {MINIMA}; TNR 0.9200 is no more than 0.0200 below first's 0.9200 (maxRegression); "
    "TPR 0.9500 is no more than 0.0200 below first's 0.9500 (maxRegression); "
    "ROC AUC 0.9800 is no more than 0.0200 below first's 0.9800 (maxRegression)",
)


def test_without_approvals_the_gate_alone_judges_a_candidate_beside_the_model_that_serves() -> None:
    verdict = judged(candidate(hotfix=True))
    assert verdict == CandidateVerdict(AGAINST_FIRST)
    assert verdict.may_start


def test_the_first_model_of_all_is_compared_with_none() -> None:
    message = f"second passes with no serving model to compare with: {MINIMA}"
    assert judged(candidate(), serving=None) == CandidateVerdict(ConditionState("True", "GatePassed", message))


def test_a_candidate_waits_for_the_approvals_that_the_policy_asks_for() -> None:
    message = "second 1.0.1 is a patch release (before it: first 1.0.0); missing: 1 of 1 reviews"
    verdict = judged(candidate(), policy={"minor": {"approvals": 0}})
    assert verdict.approved == ConditionState("False", "ApprovalMissing", message)
    assert (verdict.gate, verdict.may_start) == (AGAINST_FIRST, False)


def test_the_history_keeps_who_let_a_hotfix_pass_and_all_its_figures_but_lists() -> None:
    species = [{"species": "orca", "samples": 60, "speciesAccuracy": 1.0}]
    reason, evidence = "nobody else is awake", "https://ci.example.org/1"
    verdict = judged(
        candidate(hotfix=True, metrics={**SURE, "bySpecies": species}),
        approval("alice", kind="Override", reason=reason, evidence=evidence),
        policy={"hotfix": {"skip": ["Gate", "Stages"]}},
    )
    assert verdict == CandidateVerdict(
        ConditionState(
            "Unknown",
            "GateSkipped",
            "second 1.0.1 is a hotfix, and spec.approval.hotfix.skip names Gate: no figure was compared",
        ),
        ConditionState(
            "True",
            "Approved",
            "second 1.0.1 is a hotfix release (before it: first 1.0.0); nothing is missing; given: Override by alice",
        ),
        Release(
            type="Hotfix",
            change="Patch",
            approvals=(
                GivenApproval(
                    name="whales.second.bbbbbbbbbbbb.override.alice",
                    kind="Override",
                    approver="alice",
                    at="2026-01-01T00:00:00Z",
                    evidence=evidence,
                    reason=reason,
                ),
            ),
            figures={
                "tpr": 0.95,
                "tnr": 0.92,
                "rocAuc": 0.98,
                "cetaceanScoreMean": 0.9,
                "sampleSize": 100.0,
                "identification.samples": 100.0,
                "identification.topProbabilityMean": 0.9,
            },
            evaluation_set="test",
            metrics_snapshot="reports/second.json",
        ),
        skips_stages=True,
    )
    assert verdict.may_start


def test_approvals_that_cannot_be_read_are_the_reason() -> None:
    approved = judged(candidate(), policy={}, unreadable="forbidden").approved
    assert approved == ConditionState(
        "False",
        "ApprovalsUnreadable",
        "second 1.0.1 is a patch release (before it: first 1.0.0); "
        "missing: the right to read ModelApprovals (forbidden), 1 of 1 reviews",
    )


def test_a_hotfix_that_skips_nothing_is_compared_and_runs_its_stages() -> None:
    verdict = judged(candidate(hotfix=True), approval("alice"), policy={})
    assert (verdict.gate, verdict.skips_stages) == (AGAINST_FIRST, False)


def test_the_history_keeps_that_a_candidate_had_no_figures() -> None:
    release = judged(candidate(metrics=None, metricsSnapshot=None), approval("alice"), policy={}).release
    assert release is not None
    assert (release.figures, release.evaluation_set, release.metrics_snapshot) == (None, None, None)
