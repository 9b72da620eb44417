"""Last step of a decision: the status with its conditions, the events, and when time alone changes them."""

from __future__ import annotations

from dataclasses import dataclass

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Observed
from cetacean_operator.api.status import DriftStatus, Status
from cetacean_operator.api.status import Rollout as RolloutStatus
from cetacean_operator.decisions.anti_fraud import AntiFraudVerdict, judge_anti_fraud
from cetacean_operator.decisions.approved import approved_condition
from cetacean_operator.decisions.assess import Assessment
from cetacean_operator.decisions.autoscaling import judge_autoscaling
from cetacean_operator.decisions.candidate_condition import candidate_condition
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.conditions import add_times, invalid_spec, rollout_conditions
from cetacean_operator.decisions.desired_children import DesiredChildren
from cetacean_operator.decisions.drift import drift_annotations
from cetacean_operator.decisions.events import transitions
from cetacean_operator.decisions.failures import Failure, find_failure, seconds_until_failure
from cetacean_operator.decisions.feedback import live_accuracy
from cetacean_operator.decisions.hotfix_review import HotfixReview, judge_hotfix_review
from cetacean_operator.decisions.identity import Rollout, label, reference, rollout_of, without_digest
from cetacean_operator.decisions.image_volumes import judge_image_volumes
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.model_service import selector
from cetacean_operator.decisions.plan import EventSpec
from cetacean_operator.decisions.prefetch import Prefetch
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.rollout_state import RolloutState, rollout_state
from cetacean_operator.decisions.route_accepted import judge_route
from cetacean_operator.decisions.runbook import add_next_steps, next_step
from cetacean_operator.decisions.signature_verified import judge_signature


@dataclass(frozen=True, slots=True)
class Report:
    """The resource's next status, and what goes with it."""

    status: Status
    annotations: dict[str, str]
    events: tuple[EventSpec, ...]
    requeue_after: float | None = None
    """Seconds until time alone changes something."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far the chosen rollout has come, and what else the conditions need."""

    state: RolloutState
    failure: Failure | None
    anti_fraud: AntiFraudVerdict
    autoscaling: ConditionState | None
    hotfix: HotfixReview | None
    """None without spec.approval."""
    requeue_after: float | None


def report(
    assessment: Assessment,
    choice: Choice,
    desired: DesiredChildren,
    next_status: Status,
    *,
    prefetch: Prefetch,
    runbook_url: str,
) -> Report:
    """Return status, events and annotations.

    Args:
        assessment: what was observed.
        choice: the model that is to serve.
        desired: its children.
        next_status: with the next history and rollback.
        prefetch: weights that are fetched before their model serves.
        runbook_url: where messages that ask for a person link to.
    """
    progress = _progress(assessment, choice, desired, next_status)
    found = _conditions(assessment, choice, desired, progress)
    if progress.hotfix:
        found[names.APPROVED] = approved_condition(assessment.spec.registry.active_model, choice, next_status.history)
        found[names.HOTFIX_REVIEW_OVERDUE] = progress.hotfix.condition
    if prefetch.condition:
        found[names.WEIGHTS_PREFETCHED] = prefetch.condition
    if candidate := candidate_condition(assessment.spec, choice, next_status.history):
        found[names.CANDIDATE_PASSED] = candidate
    found = add_next_steps(found, runbook_url)
    conditions = add_times(found, assessment.last_status, assessment.resource.generation, assessment.at)
    status = _status(assessment, choice, desired.rollout, progress).model_copy(
        update={
            "history": next_status.history,
            "rollback": next_status.rollback,
            "comparison": choice.compared,
            "prefetched": prefetch.shown or None,
            "candidate": choice.stages.shown if choice.stages else None,
            "returned_candidates": next_status.returned_candidates,
            "conditions": conditions,
            "drift": _with_next_steps(assessment.drift.shown, runbook_url),
        }
    )
    return Report(
        status=status,
        annotations=drift_annotations(assessment.drift.shown),
        events=transitions(assessment.last_status, status),
        requeue_after=min(
            (wait for wait in (progress.requeue_after, prefetch.requeue_after) if wait is not None), default=None
        ),
    )


def report_invalid_spec(
    resource: CetaceanModel, message: str, *, last_status: Status, at: str, runbook_url: str
) -> Report:
    """Report a spec that cannot be read; the pods go on, and all else in the status stays."""
    found = add_next_steps(invalid_spec(message), runbook_url)
    conditions = add_times(found, last_status, resource.generation, at)
    kept = tuple(condition for condition in last_status.conditions if condition.type not in found)
    status = last_status.model_copy(
        update={"observed_generation": resource.generation, "conditions": (*conditions, *kept)}
    )
    annotations = {key: v for key, v in resource.annotations.items() if key.startswith(f"{names.GROUP}/drift-")}
    return Report(status=status, annotations=annotations, events=transitions(last_status, status))


def _progress(assessment: Assessment, choice: Choice, desired: DesiredChildren, next_status: Status) -> _Progress:
    last_status, now = assessment.last_status, assessment.now
    state = rollout_state(assessment.current_state, desired.rollout)
    failure = None if state.complete else find_failure(state.unready, assessment.deployment, now)
    anti_fraud = judge_anti_fraud(
        threshold=assessment.spec.anti_fraud.threshold,
        reported=[pod.identity.threshold for pod in state.ready if pod.identity],
        last_status=last_status,
        now=now,
    )
    autoscaling, autoscaling_wait = judge_autoscaling(
        scaling=assessment.spec.serving.autoscaling,
        autoscaler=assessment.children.get(("HorizontalPodAutoscaler", assessment.resource.name)),
        state=state,
        last_status=last_status,
        now=now,
    )
    failure_wait = seconds_until_failure(state.unready, now) if failure is None else None
    hotfix = None
    if assessment.spec.approval:
        hotfix = judge_hotfix_review(
            target=choice.target,
            history=next_status.history,
            policy=assessment.spec.approval,
            approvals=assessment.observed.approvals,
            now=now,
        )
    hotfix_wait = hotfix.requeue_after if hotfix else None
    stages_wait = choice.stages.requeue_after if choice.stages else None
    waits = (failure_wait, autoscaling_wait, anti_fraud.requeue_after, hotfix_wait, stages_wait)
    soonest = min((wait for wait in waits if wait is not None), default=None)
    return _Progress(state, failure, anti_fraud, autoscaling, hotfix, soonest)


def _not_compared(assessment: Assessment, choice: Choice) -> str | None:
    """Return why drift causes no rollback while the registry names another model than the one that serves."""
    spec, target = assessment.spec, choice.target
    active = spec.registry.active_model
    if spec.drift.on_alarm != "Rollback" or choice.rollback or target is None or same_model(active, target):
        return None
    if assessment.drift.condition.status != "True":
        return None
    return (
        f"no rollback: the registry names {label(active)}, which does not serve, and only a model that it names is "
        f"compared with the one before: name {label(target)} again"
    )


def _conditions(
    assessment: Assessment, choice: Choice, desired: DesiredChildren, progress: _Progress
) -> dict[str, ConditionState]:
    drifting = assessment.drift.condition
    if refusal := choice.refusal or _not_compared(assessment, choice):
        drifting = drifting._replace(message=f"{drifting.message}; {refusal}")
    found = rollout_conditions(
        active=assessment.spec.registry.active_model,
        choice=choice,
        state=progress.state,
        failure=progress.failure,
        pending=any(child["kind"] != "Job" for child in desired.changed),
        blocked=_blocked(assessment.observed),
        unverified=without_digest(desired.rollout) if desired.rollout else (),
    )
    found |= {
        names.DRIFTING: drifting,
        names.LOW_AVAILABILITY: assessment.service.availability,
        names.HIGH_LATENCY: assessment.service.latency,
        names.ANTI_FRAUD_DISABLED: progress.anti_fraud.condition,
    }
    rollout = desired.rollout or rollout_of(assessment.spec.registry.active_model, assessment.spec.anti_fraud)
    optional = {
        names.SIGNATURE_VERIFIED: judge_signature(choice.target, progress.state, progress.failure)
        if assessment.spec.serving.signature
        else None,
        names.ROUTE_ACCEPTED: judge_route(
            route=assessment.spec.serving.route,
            live=assessment.children.get(("HTTPRoute", assessment.resource.name)),
            is_served="HTTPRoute" in assessment.observed.served_kinds,
        ),
        names.AUTOSCALING_INACTIVE: progress.autoscaling,
        names.IMAGE_VOLUMES_UNSUPPORTED: judge_image_volumes(rollout, assessment.observed.kubernetes),
    }
    return found | {name: condition for name, condition in optional.items() if condition}


def _status(assessment: Assessment, choice: Choice, rollout: Rollout | None, progress: _Progress) -> Status:
    """Return the status but for its conditions, history, rollback and drift."""
    state, active = progress.state, assessment.spec.registry.active_model
    is_active = choice.target == active
    found = min(state.digests, default=None) if is_active else None
    return Status(
        observed_generation=assessment.resource.generation,
        active=reference(active, found),
        serving=state.serving,
        rollout=RolloutStatus(id=rollout.id, model=rollout.model.name, version=rollout.model.version)
        if rollout
        else None,
        replicas=len(state.pods),
        ready_replicas=len(state.ready),
        active_replicas=len(state.current) if is_active else 0,
        selector=",".join(f"{key}={value}" for key, value in selector(assessment.resource.name).items()),
        served=assessment.history.served,
        service=assessment.service.shown,
        feedback=live_accuracy(state.pods, assessment.spec.registry.models) or None,
        anti_fraud=progress.anti_fraud.shown,
    )


def _with_next_steps(drift: DriftStatus, runbook_url: str) -> DriftStatus:
    """Add the next step to each raised signal."""
    signals = tuple(
        one.model_copy(update={"next_step": next_step(names.DRIFTING, one.reason, runbook_url)}) if one.raised else one
        for one in drift.signals
    )
    return drift.model_copy(update={"signals": signals})


def _blocked(observed: Observed) -> ConditionState | None:
    """Return the condition Ready if children cannot be applied."""
    if observed.name_conflict:
        message = f"{observed.name_conflict} exists and is not this resource's: rename one of the two"
        return ConditionState("False", names.NAME_TAKEN, message)
    if observed.refused:
        return ConditionState("False", "ApplyRefused", observed.refused)
    return None
