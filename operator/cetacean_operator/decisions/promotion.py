"""Choose the model that the Deployment serves: the active one, the one that serves, the one before, or none yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from cetacean_operator.api import names
from cetacean_operator.api.model_approval import NO_APPROVALS, Approvals
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import Release, Rollback
from cetacean_operator.decisions.candidate import GATE_SKIPPED, CandidateVerdict, judge_candidate, judge_gate
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.drift import DriftVerdict
from cetacean_operator.decisions.identity import label, reference
from cetacean_operator.decisions.lineage import find_served, is_rejected, same_weights, was_served_as
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_registry.urls import lacks_query, without_query

SERVED_BEFORE, DRIFT_ROLLBACK, ADOPTED = "ServedBefore", "DriftRollback", "Adopted"


class Promotion(NamedTuple):
    """Why the model to serve is another one than the last; for the history."""

    reason: str
    why: str
    release: Release | None = None
    """Who let it serve; None without spec.approval, and for a model that has served before."""


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
    approved: ConditionState | None = None
    """The condition Approved, about the active model; None if it may serve without approvals."""

    @property
    def missing_approval(self) -> ConditionState | None:
        """The condition Approved if only approvals are missing; the gate's refusal comes first."""
        is_refused = self.gate.reason == names.GATE_REFUSED
        return None if is_refused or self.approved is None or self.approved.status == "True" else self.approved


def choose(
    *,
    spec: Spec,
    history: ServingHistory,
    deployed: Model | None,
    drift: DriftVerdict | None,
    at: str,
    approvals: Approvals = NO_APPROVALS,
) -> Choice:
    """Choose one model.

    Args:
        spec: what is wanted.
        history: what was promoted and what has served.
        deployed: the model in the live Deployment.
        drift: of the active model; None if another model serves.
        at: the time now.
        approvals: of the resource.
    """
    choice = _choose(spec=spec, history=history, deployed=deployed, drift=drift, at=at, approvals=approvals)
    target = choice.target
    if target and deployed and lacks_query(target.weights_url) and same_weights(target, deployed):
        # Only the Deployment still has the whole URL: another one would replace its pods.
        return replace(choice, target=target.model_copy(update={"weights_url": deployed.weights_url}))
    return choice


def _choose(
    *,
    spec: Spec,
    history: ServingHistory,
    deployed: Model | None,
    drift: DriftVerdict | None,
    at: str,
    approvals: Approvals,
) -> Choice:
    candidate = spec.registry.active_model
    # The last promotion comes first: a person may have written another model into the Deployment.
    current = history.last_promoted() or (history.full_entry(deployed) if deployed else None)
    standing = _standing_rollback(history.status.rollback, candidate, spec)
    if standing and (restored := _restored_model(standing, history, current)):
        return _keep_restored(standing, restored, history)
    if current is None:
        return _choose_first(candidate, spec, history, approvals)
    if same_weights(candidate, current):
        return _keep_active(candidate, spec=spec, history=history, drift=drift, at=at)
    if history.served_record(candidate):
        return _return_to(candidate)
    return _choose_new(candidate, current=current, spec=spec, history=history, approvals=approvals)


def _keep_restored(standing: Rollback, restored: Model, history: ServingHistory) -> Choice:
    """Keep the model before the rejected one while the rollback stands."""
    promotion = None if history.is_last_promoted(restored) else Promotion(DRIFT_ROLLBACK, standing.why)
    return Choice(restored, ConditionState("False", names.ROLLED_BACK, standing.why), promotion, standing)


def _choose_first(candidate: Model, spec: Spec, history: ServingHistory, approvals: Approvals) -> Choice:
    """Choose the active model if it passes the gate and is approved; nothing serves yet."""
    verdict = judge_candidate(candidate, None, spec=spec, history=history, approvals=approvals)
    return _promote(candidate, verdict) if verdict.may_start else Choice(None, verdict.gate, approved=verdict.approved)


def _promote(candidate: Model, verdict: CandidateVerdict) -> Choice:
    promotion = Promotion(verdict.gate.reason, verdict.gate.message, verdict.release)
    return Choice(candidate, verdict.gate, promotion, approved=verdict.approved)


def _return_to(candidate: Model, *, refusal: str | None = None) -> Choice:
    """Choose a model that has served before; it needs no gate."""
    why = f"{label(candidate)} has served before: it comes back at once, without the gate"
    gate = ConditionState("True", SERVED_BEFORE, why)
    return Choice(candidate, gate, Promotion(SERVED_BEFORE, why), refusal=refusal)


def _choose_new(
    candidate: Model, *, current: Model, spec: Spec, history: ServingHistory, approvals: Approvals
) -> Choice:
    """Choose a model that has never served if it may start, else the last model that has served."""
    stable = current if history.served_record(current) else None
    if stable is None and (item := history.last_served()) and history.is_available(item):
        stable = history.current_entry(item)
    verdict = judge_candidate(candidate, stable, spec=spec, history=history, approvals=approvals)
    if verdict.may_start:
        return _promote(candidate, verdict)
    kept = stable or current
    promotion = None
    if not same_weights(kept, current):
        promotion = Promotion(SERVED_BEFORE, f"{label(current)} never served and is no longer asked for")
    elif not history.is_last_promoted(kept):
        promotion = Promotion(ADOPTED, _adopted(kept))
    return Choice(kept, verdict.gate, promotion, approved=verdict.approved)


def _keep_active(
    candidate: Model, *, spec: Spec, history: ServingHistory, drift: DriftVerdict | None, at: str
) -> Choice:
    """Keep the active model in the Deployment, unless it drifts and the model before promises better."""
    refusal = None
    if drift is not None and drift.alarm and spec.drift.on_alarm == "Rollback":
        outcome = _roll_back(candidate, history, drift, at)
        if isinstance(outcome, Choice):
            return outcome
        refusal = outcome
    if history.is_last_promoted(candidate):
        first = history.status.history[0]
        is_judged = first.reason not in (ADOPTED, GATE_SKIPPED)
        gate = ConditionState("True" if is_judged else "Unknown", first.reason, first.why)
        return Choice(candidate, gate, refusal=refusal)
    # The promotion is not in the history: the status was lost, and the Deployment has no record of it either.
    if any(was_served_as(item, candidate) for item in history.status.served):
        return _return_to(candidate, refusal=refusal)
    before = history.last_served(other_than=candidate)
    gate = judge_gate(candidate, history.current_entry(before) if before else None, spec, history)
    if gate.status == "True":
        return Choice(candidate, gate, Promotion(gate.reason, gate.message), refusal=refusal)
    why = _adopted(candidate)
    return Choice(candidate, ConditionState("Unknown", ADOPTED, why), Promotion(ADOPTED, why), refusal=refusal)


def _adopted(model: Model) -> str:
    return f"{label(model)} was already rolled out when the operator first saw it"


def _roll_back(model: Model, history: ServingHistory, drift: DriftVerdict, at: str) -> Choice | str:
    """Go back to the model before if its baseline promises more than the drifted mean; else return why not."""
    before = history.last_served(other_than=model)
    if before is None:
        return "no rollback: no other model has served before"
    earlier = history.current_entry(before)
    if not history.is_available(before):
        return (
            f"no rollback: the registry no longer has {label(earlier)}, whose URL has a query that is kept nowhere else"
        )
    metrics = history.metrics(earlier)
    promised = metrics.cetacean_score_mean if metrics else None
    mean = drift.shown.mean or 0.0
    if promised is None:
        return f"no rollback: {label(earlier)} has no baseline that would promise better"
    if drift.mean is None or promised <= drift.mean:
        return f"no rollback: the baseline {promised:g} of {label(earlier)} promises no better than {mean:.3f}"
    why = (
        f"{label(model)} drifted to a mean score of {mean:.3f}; {label(earlier)} served before and its baseline "
        f"{promised:g} promises better"
    )
    serving = history.served_record(model)
    rollback = Rollback(
        rejected=reference(model, serving.digest if serving else None),
        rejected_url=without_query(model.weights_url),
        restored=reference(earlier, before.digest),
        at=at,
        why=why,
    )
    return _keep_restored(rollback, earlier, history)


def _standing_rollback(rollback: Rollback | None, candidate: Model, spec: Spec) -> Rollback | None:
    """Return the last rollback while the registry goes on asking for the very weights that it rejected."""
    if rollback is None or spec.drift.on_alarm != "Rollback" or not is_rejected(candidate, rollback):
        return None
    return rollback


def _restored_model(rollback: Rollback, history: ServingHistory, current: Model | None) -> Model | None:
    """Return the entry of the model that a rollback restored, None if nothing knows it any more."""
    name, digest = rollback.restored.name, rollback.restored.digest
    if item := find_served(history.served, name, digest):
        return history.current_entry(item)
    # If the status was lost, no model is known to have served until a pod has answered. The rejected model must not
    # come back meanwhile. The digest may be one that pods found and the registry does not name.
    for model in (*history.known, current) if current else history.known:
        if (model.name, model.sha256) == (name, digest):
            return model
    return current if current and (current.name, current.sha256) == (name, None) else None
