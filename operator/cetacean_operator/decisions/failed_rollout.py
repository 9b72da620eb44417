"""A rollout that passes its progress deadline, if `onFailure: Return` governs it: the model before serves again.

Without `spec.rollout.stages` nothing else stops a model whose pods do not get ready. A model that was taken back is
remembered as a candidate that did not pass its stages is, and a person lets it try again in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from cetacean_operator.api.candidate import CandidateStatus, PersonDecision, ReturnedCandidate
from cetacean_operator.api.observed import Object, Pod
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import ServedModel
from cetacean_operator.decisions.condition_state import ConditionState, ConditionStatus
from cetacean_operator.decisions.failures import find_failure, passed_deadline
from cetacean_operator.decisions.identity import deployed_rollout, label, rollout_of
from cetacean_operator.decisions.lineage import find_served, reported_model, same_model, was_served_as
from cetacean_operator.decisions.returned_candidates import find_returned, record_returned
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_operator.decisions.stage_input import OverdueRollout, StageInput
from cetacean_operator.decisions.stages import PROMOTED, Stages, StageState, decision_about

DEADLINE: Final = "ProgressDeadlineExceeded"
_LONGEST: Final = 4096


def overdue_rollout(
    pods: Sequence[Pod], wanted: int, deployment: Object | None, now: datetime
) -> OverdueRollout | None:
    """Return the rollout of a Deployment that has passed its progress deadline, None if it has not.

    Args:
        pods: of the resource, without those that terminate.
        wanted: replicas.
        deployment: the live one.
        now: for the reason why pods are not ready.
    """
    rollout = deployed_rollout(deployment)
    if deployment is None or rollout is None or passed_deadline(deployment) is None:
        return None
    own = [pod for pod in pods if pod.rollout_id == rollout]
    unready = [pod for pod in own if not pod.ready]
    failure = find_failure(unready, deployment, now)
    if failure is None or len(own) - len(unready) >= wanted:
        return None  # all its pods are ready by now
    return OverdueRollout(
        rollout, f"{failure.reason}: {failure.message}", deployment["spec"]["progressDeadlineSeconds"]
    )


def model_before(candidate: Model, *, spec: Spec, history: ServingHistory, given: StageInput) -> Model | None:
    """Return the model that served before the active one, if that one's rollout has failed and must go back.

    Args:
        candidate: the active model, which the Deployment's template names.
        spec: of the resource.
        history: promotions and served models.
        given: what pods report.

    Returns:
        None if the rollout has not failed, if it is held, or if nothing has served before.
    """
    overdue = given.overdue
    if not _returns(spec) or overdue is None:
        return None
    rollout = rollout_of(candidate, spec.anti_fraud)
    if overdue.rollout != rollout.id:
        return None
    if _promoted_by_person(candidate, spec, given):
        return None  # who has asked for it decides what happens next
    others = tuple(pod for pod in given.pods if pod.rollout_id != rollout.id)
    beside = _reported(others, history)
    found = next((item for item in beside if not was_served_as(item, candidate)), None)
    if found is None:
        if history.served_record(candidate):
            # It has served alone: its pods have been replaced for another reason than the model.
            return None
        found = history.last_served()
    if found is None or not history.is_available(found):
        return None
    before = history.current_entry(found)
    return None if was_taken_back(before, spec=spec, history=history) else before


def return_rollout(candidate: Model, *, given: StageInput) -> Stages:
    """Return the state of an active model whose rollout has failed just now."""
    assert given.overdue is not None  # noqa: S101 -- the caller asked
    why = f"its rollout passed the progress deadline of {given.overdue.deadline_seconds} s: {given.overdue.message}"
    returned = record_returned(candidate, given.overdue.rollout, DEADLINE, why, given=given)
    return _returned(candidate, returned)


def remembered_rollout(candidate: Model, *, spec: Spec, history: ServingHistory, given: StageInput) -> Stages | None:
    """Return the state of a model whose rollout has failed before, None if none has, or it is tried again."""
    if not _returns(spec) or (returned := _find_returned(candidate, spec, history, given.decision)) is None:
        return None
    decision = _promoted_by_person(candidate, spec, given)
    if decision is None:
        return _returned(candidate, returned)
    why = f": {decision.why}" if decision.why else ""
    message = f"{decision.by} promoted it at {decision.at}{why}; {returned.why}"
    return replace(_state(StageState.PASSED, candidate, returned.rollout, PROMOTED, message), decision=decision)


def was_taken_back(candidate: Model, *, spec: Spec, history: ServingHistory) -> bool:
    """Return true if the last rollout of a model has failed, whatever the policy is now.

    One of its pods may have been ready: that is no reason to bring it back without the gate and the stages.
    """
    returned = _find_returned(candidate, spec, history, None)
    if returned is None:
        return False
    # Not by times: clocks are set back. The promotion of what served before was written with the return.
    for entry in history.status.history:
        if same_model(entry, candidate):
            return False
        if entry.at == returned.at:
            return True
    return True


def _returns(spec: Spec) -> bool:
    return spec.rollout is not None and not spec.rollout.stages and spec.rollout.returns_failed


def _promoted_by_person(candidate: Model, spec: Spec, given: StageInput) -> PersonDecision | None:
    decision = decision_about(candidate.name, rollout_of(candidate, spec.anti_fraud).id, given.decision)
    return decision if decision and decision.decision == "Promote" else None


def _find_returned(
    model: Model, spec: Spec, history: ServingHistory, decision: PersonDecision | None
) -> ReturnedCandidate | None:
    known = (one for one in history.status.returned if one.reason == DEADLINE)
    return find_returned(known, rollout_of(model, spec.anti_fraud), decision)


def _reported(pods: Sequence[Pod], history: ServingHistory) -> list[ServedModel]:
    reported = filter(None, map(reported_model, pods))
    return list(filter(None, (find_served(history.served, one) for one in reported)))


def _returned(candidate: Model, returned: ReturnedCandidate) -> Stages:
    message = f"it was taken back at {returned.at}: {returned.why}"
    state = _state(StageState.RETURNED, candidate, returned.rollout, returned.reason, message)
    return replace(state, returned=returned)


def _state(state: StageState, model: Model, rollout: str, reason: str, message: str) -> Stages:
    message = message[:_LONGEST]
    shown = CandidateStatus(
        model=model.name,
        version=model.version,
        digest=model.sha256,
        rollout=rollout,
        stages=0,
        verdict=reason,
        message=message,
    )
    status: ConditionStatus = "True" if state is StageState.PASSED else "False"
    return Stages(state, ConditionState(status, reason, f"{label(model)}: {message}"), shown)
