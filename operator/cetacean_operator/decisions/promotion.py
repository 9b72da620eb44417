"""Choose the model that the Deployment serves: the active one, the one that serves, the one before, or none yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from cetacean_operator.api import names
from cetacean_operator.api.candidate import PassedStage, PersonDecision
from cetacean_operator.api.model_approval import NO_APPROVALS, Approvals
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import ComparisonStatus, Release, Rollback
from cetacean_operator.decisions.candidate import GATE_SKIPPED, CandidateVerdict, judge_candidate, judge_gate
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.failed_rollout import model_before, remembered_rollout, return_rollout, was_taken_back
from cetacean_operator.decisions.identity import label, reference, rollout_of
from cetacean_operator.decisions.lineage import find_served, is_rejected, may_report, same_model, was_served_as
from cetacean_operator.decisions.rollback_proof import CALIBRATE, Proof, ProofInput, prove
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_operator.decisions.stage_input import Pair, StageInput
from cetacean_operator.decisions.stage_record import read_stage_record
from cetacean_operator.decisions.stages import Stages, StageState, has_promoted, run_stages
from cetacean_registry.urls import lacks_query, without_query

REJECTED: Final = f"no rollback: while most pictures are rejected, another model would not help: {CALIBRATE}"
NOT_OF_THE_MODEL: Final = (
    "no rollback: the mean cetacean score comes from the anti-fraud gate, which all models share, so no other "
    f"model would raise it: {CALIBRATE}"
)
SERVED_BEFORE, DRIFT_ROLLBACK, ADOPTED = "ServedBefore", "DriftRollback", "Adopted"


class Promotion(NamedTuple):
    """Why the model to serve is another one than the last; for the history."""

    reason: str
    why: str
    release: Release | None = None
    """Who let it serve; None without spec.approval, and for a model that has served before."""
    stages: tuple[PassedStage, ...] = ()
    """That it has passed."""
    decision: PersonDecision | None = None
    """Of the person who promoted it before its stages were over."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The model to serve, and why."""

    target: Model | None
    """None if no model may be served yet."""
    gate: ConditionState
    """The condition GatePassed; it is about the active model."""
    promotion: Promotion | None = None
    """None if the target is the last promoted model."""
    rollback: Rollback | None = None
    """The rollback that stands."""
    refusal: str | None = None
    """Why drift caused no rollback although the resource asks for one."""
    comparison: Comparison | None = None
    """The model that runs beside the target and answers the same pictures."""
    compared: ComparisonStatus | None = None
    """The figures of the comparison so far."""
    approved: ConditionState | None = None
    """The condition Approved, about the active model; None if it may serve without approvals."""
    stages: Stages | None = None
    """The active model beside the target, while spec.rollout.stages keep it from serving."""

    @property
    def missing_approval(self) -> ConditionState | None:
        """The condition Approved if only approvals are missing; a refusal of the gate or of the stages comes first."""
        is_refused = self.gate.reason == names.GATE_REFUSED or (self.stages is not None and self.stages.needs_person)
        return None if is_refused or self.approved is None or self.approved.status == "True" else self.approved


@dataclass(frozen=True, slots=True)
class ChoiceInput:
    """All that the choice depends on."""

    spec: Spec
    history: ServingHistory
    """What was promoted and what has served."""
    deployed: Model | None
    """The model in the live Deployment."""
    proof: ProofInput
    """Drift of the active model, and what is known about the model before."""
    staged: StageInput
    """What is known about the candidate; it has the time."""
    approvals: Approvals = NO_APPROVALS
    """Of the resource."""


def choose(given: ChoiceInput) -> Choice:
    """Choose one model."""
    choice = _choose(given)
    if choice.comparison and given.staged.blocked:
        choice = replace(choice, comparison=None, compared=None, refusal=f"no rollback: {given.staged.blocked}")
    return replace(choice, target=_with_whole_url(choice.target, given.deployed))


def _choose(given: ChoiceInput) -> Choice:
    candidate, history, deployed = given.spec.registry.active_model, given.history, given.deployed
    # The last promotion comes first: a person may have written another model into the Deployment.
    current = history.last_promoted() or (history.full_entry(deployed) if deployed else None)
    current = _with_whole_url(current, deployed)
    standing = _standing_rollback(history.status.rollback, candidate, given.spec)
    if standing and (restored := _restored_model(standing, history, current)):
        return _keep_restored(standing, restored, history)
    if current is None:
        return _choose_first(candidate, given)
    if same_model(candidate, current):
        if before := model_before(candidate, spec=given.spec, history=history, given=given.staged):
            return _take_back(candidate, before, given)
        return _on_drift(candidate, given)
    if history.served_record(candidate) and not was_taken_back(candidate, spec=given.spec, history=history):
        return _return_to(candidate)
    return _choose_new(candidate, current, given)


def _with_whole_url(model: Model | None, deployed: Model | None) -> Model | None:
    """Return a model with the Deployment's address if only that has the query: another one would replace its pods."""
    if model and deployed and lacks_query(model.weights_url) and same_model(model, deployed):
        return model.model_copy(update={"weights_url": deployed.weights_url})
    return model


def _keep_restored(standing: Rollback, restored: Model, history: ServingHistory) -> Choice:
    """Keep the model before the rejected one while the rollback stands."""
    promotion = None if history.is_last_promoted(restored) else Promotion(DRIFT_ROLLBACK, standing.why)
    return Choice(restored, ConditionState("False", names.ROLLED_BACK, standing.why), promotion, standing)


def _take_back(active: Model, before: Model, given: ChoiceInput) -> Choice:
    """Go back to the model before the active one, whose rollout has passed its progress deadline."""
    stages = return_rollout(active, given=given.staged)
    gate = _keep_active(active, given).gate
    why = f"{stages.condition.message}; {label(before)} served before"
    return Choice(before, gate, Promotion(SERVED_BEFORE, why), stages=stages)


def _choose_first(candidate: Model, given: ChoiceInput) -> Choice:
    """Choose the active model if it passes the gate and is approved; nothing serves yet."""
    verdict = _judge(candidate, None, given)
    return _promote(candidate, verdict) if verdict.may_start else Choice(None, verdict.gate, approved=verdict.approved)


def _promote(candidate: Model, verdict: CandidateVerdict, stages: Stages | None = None) -> Choice:
    promotion = Promotion(verdict.gate.reason, verdict.gate.message, verdict.release)
    if stages:
        why = f"{promotion.why}; {stages.condition.message}"
        promotion = promotion._replace(why=why, stages=stages.shown.passed, decision=stages.decision)
    return Choice(candidate, verdict.gate, promotion)


def _return_to(model: Model) -> Choice:
    """Choose a model that has served before; it needs no gate."""
    why = f"{label(model)} has served before: it comes back at once, without the gate"
    gate = ConditionState("True", SERVED_BEFORE, why)
    return Choice(model, gate, Promotion(SERVED_BEFORE, why))


def _choose_new(candidate: Model, current: Model, given: ChoiceInput) -> Choice:
    """Choose a model that has never served if it has passed everything, else the last model that has served."""
    stable = _stable_model(current, given.history)
    kept = stable or current
    verdict = _judge(candidate, stable, given)
    stages = _stages_of(candidate, kept, verdict, given, has_served=stable is not None)
    if verdict.may_start and stages is None:
        return _promote(candidate, verdict)
    if verdict.is_approved and stages is not None and stages.state is StageState.PASSED:
        return _promote(candidate, verdict, stages)
    promotion = None
    if not same_model(kept, current):
        promotion = Promotion(SERVED_BEFORE, f"{label(current)} never served and is no longer asked for")
    elif not given.history.is_last_promoted(kept):
        promotion = Promotion(ADOPTED, _adopted(kept))
    return Choice(kept, verdict.gate, promotion, approved=verdict.approved, stages=stages)


def _judge(candidate: Model, stable: Model | None, given: ChoiceInput) -> CandidateVerdict:
    return judge_candidate(candidate, stable, spec=given.spec, history=given.history, approvals=given.approvals)


def _stable_model(current: Model, history: ServingHistory) -> Model | None:
    """Return the model that a new one is compared with: the last promoted one if it has served, else the one before."""
    if history.served_record(current):
        return current
    item = history.last_served()
    return history.current_entry(item) if item and history.is_available(item) else None


def _stages_of(
    candidate: Model, kept: Model, verdict: CandidateVerdict, given: ChoiceInput, *, has_served: bool
) -> Stages | None:
    """Return the state of a candidate that must pass stages, or whose rollout has failed before.

    None if there is nothing of that kind, or if no pod of it may run yet.
    """
    if not verdict.passed_gate:
        return None
    spec, history, staged = given.spec, given.history, given.staged
    if staged.decision and has_promoted(staged.decision, history.status.history):
        staged = replace(staged, decision=None)
    if remembered := remembered_rollout(candidate, spec=spec, history=history, given=staged):
        return remembered
    if not _must_run_stages(verdict, kept, spec=spec, staged=staged, has_served=has_served):
        return None
    rollout, serving = rollout_of(candidate, spec.anti_fraud), history.served_record(kept)
    # A candidate whose approvals cannot be read just now stays: it would lose what it has shown.
    approved = None if given.approvals.unreadable and not verdict.is_approved else verdict.is_approved
    live = read_stage_record(staged.deployment)
    may_stay = approved is None and live is not None and live.rollout == rollout.id
    if not (approved or may_stay or _may_begin_before_approval(spec)):
        return None
    pair = Pair(
        candidate=candidate,
        rollout=rollout,
        served=rollout_of(kept, spec.anti_fraud),
        served_digest=serving.digest if serving else kept.sha256,
    )
    return run_stages(pair, spec=spec, given=staged, returned=history.status.returned, approved=approved)


def _must_run_stages(
    verdict: CandidateVerdict, kept: Model, *, spec: Spec, staged: StageInput, has_served: bool
) -> bool:
    """Return true if a model runs stages beside the one that is kept, because something serves."""
    if spec.rollout is None or not spec.rollout.stages or verdict.skips_stages:
        return False
    record = read_stage_record(staged.deployment)
    # If the status was lost, no model is known to have served until a pod has answered.
    is_recorded = record is not None and record.served == rollout_of(kept, spec.anti_fraud).id
    return has_served or bool(staged.pods) or is_recorded


def _may_begin_before_approval(spec: Spec) -> bool:
    stages = spec.rollout.stages if spec.rollout else ()
    return bool(spec.approval and spec.approval.shadow_first and stages and stages[0].shadow)


def _on_drift(active: Model, given: ChoiceInput) -> Choice:
    """Keep the active model in the Deployment, unless it drifts and the model before proves to do better."""
    kept = _keep_active(active, given)
    drift = given.proof.drift
    if drift is None or given.spec.drift.on_alarm != "Rollback":
        return kept
    if drift.condition.reason == names.SYSTEMIC_REJECTION:
        return replace(kept, refusal=REJECTED)
    signals = drift.identification_signals
    # While no pod answers, what was raised is held: the comparison goes on, and decides nothing.
    is_held = given.proof.last is not None and any(one.shown.raised for one in drift.signals)
    if not signals and not is_held:
        return replace(kept, refusal=NOT_OF_THE_MODEL) if drift.alarm else kept
    proof = prove(active, spec=given.spec, history=given.history, given=given.proof)
    if signals and proof.is_better and proof.earlier:
        return _roll_back(active, proof, proof.earlier, signals, given)
    return replace(kept, refusal=proof.message, comparison=proof.comparison, compared=proof.status)


def _keep_active(active: Model, given: ChoiceInput) -> Choice:
    """Keep the active model in the Deployment."""
    history = given.history
    if history.is_last_promoted(active):
        first = history.status.history[0]
        is_judged = first.reason not in (ADOPTED, GATE_SKIPPED)
        gate = ConditionState("True" if is_judged else "Unknown", first.reason, first.why)
        return Choice(active, gate)
    # The promotion is not in the history: the status was lost, and the Deployment has no record of it either.
    if any(was_served_as(item, active) for item in history.status.served):
        return _return_to(active)
    before = history.last_served(other_than=active)
    gate = judge_gate(active, history.current_entry(before) if before else None, given.spec, history)
    if gate.status == "True":
        return Choice(active, gate, Promotion(gate.reason, gate.message))
    why = _adopted(active)
    return Choice(active, ConditionState("Unknown", ADOPTED, why), Promotion(ADOPTED, why))


def _adopted(model: Model) -> str:
    return f"{label(model)} was already rolled out when the operator first saw it"


def _roll_back(active: Model, proof: Proof, earlier: Model, signals: Sequence[str], given: ChoiceInput) -> Choice:
    """Go back to the model before, which has proved to do better on the pictures of now."""
    serving = given.history.served_record(active)
    why = (
        f"{label(active)} drifted ({', '.join(signals)}); {label(earlier)} served before and does better on the same "
        f"pictures: {proof.message}"
    )
    rollback = Rollback(
        rejected=reference(active, serving.digest if serving else None),
        rejected_url=without_query(active.weights_url),
        restored=reference(earlier, proof.digest),
        at=given.staged.at,
        why=why,
    )
    return _keep_restored(rollback, earlier, given.history)


def _standing_rollback(rollback: Rollback | None, candidate: Model, spec: Spec) -> Rollback | None:
    """Return the last rollback while the registry goes on asking for the very weights that it rejected."""
    if rollback is None or spec.drift.on_alarm != "Rollback" or not is_rejected(candidate, rollback):
        return None
    return rollback


def _restored_model(rollback: Rollback, history: ServingHistory, current: Model | None) -> Model | None:
    """Return the entry of the model that a rollback restored, None if nothing knows it any more."""
    restored = rollback.restored
    if item := find_served(history.served, restored):
        return history.current_entry(item)
    # If the status was lost, no model is known to have served until a pod has answered. The rejected model must not
    # come back meanwhile. The digest may be one that pods found and the registry does not name.
    for model in (*history.known, current) if current else history.known:
        if model.sha256 == restored.digest and may_report(model, restored):
            return model
    return current if current and current.sha256 is None and may_report(current, restored) else None
