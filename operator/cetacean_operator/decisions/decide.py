"""The one decision: from what is to what should be. Pure: the same arguments always give the same plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Object, Observed
from cetacean_operator.api.spec import InvalidResourceError, Model, Spec, parse_spec
from cetacean_operator.api.status import AntiFraudStatus, ModelRef, Rollout, Status, parse_status
from cetacean_operator.decisions import conditions, drift, failures, runbook
from cetacean_operator.decisions.autoscaling import judge_autoscaling
from cetacean_operator.decisions.children import Ref, children, controller_of, selector
from cetacean_operator.decisions.compare import differences
from cetacean_operator.decisions.conditions import OVERDUE_AFTER, Finding
from cetacean_operator.decisions.drift import DriftVerdict
from cetacean_operator.decisions.events import transitions
from cetacean_operator.decisions.history import extend
from cetacean_operator.decisions.identity import deployed_model, reference, rollout_of
from cetacean_operator.decisions.plan import ChildRef, Plan, seconds_since, timestamp
from cetacean_operator.decisions.promotion import Choice, ServingHistory, choose
from cetacean_operator.decisions.promotion_record import recall, record
from cetacean_operator.decisions.rollout_state import RolloutState, look, remember_served
from cetacean_operator.decisions.service import judge_service


def decide(resource: CetaceanModel, observed: Observed, now: datetime, *, runbook_url: str = names.RUNBOOK) -> Plan:
    """Decide what shall exist and what the status says.

    Args:
        resource: the CetaceanModel with its last status.
        observed: children, pods and what they report.
        now: the time, aware of its zone.
        runbook_url: where messages that ask for a person point to.

    Returns:
        The plan. Applied and observed again, it leads to a plan with nothing to apply and the same status.
    """
    told = parse_status(resource.status)
    try:
        spec = parse_spec(resource.spec)
    except InvalidResourceError as error:
        return _invalid(resource, told, str(error), now, runbook_url)
    at = timestamp(now)
    deployment = observed.children.get(("Deployment", resource.name))
    deployed = deployed_model(deployment)
    before = recall(told, deployment, deployed)

    glance = look(observed, spec.serving, None, deployment)
    live = rollout_of(deployed, spec.anti_fraud) if deployed else None
    served = remember_served(before, glance, spec.registry.models, live, at)
    past = ServingHistory(before, served, spec.registry.models)
    verdict = _drift(spec, before, past, glance)
    choice = choose(
        spec=spec,
        status=before,
        served=served,
        deployed=deployed,
        drift=verdict if _is_active(glance.serving, spec) else replace(verdict, alarm=False),
        at=at,
    )

    rollout = rollout_of(choice.target, spec.anti_fraud) if choice.target else None
    chosen = before.model_copy(
        update={"history": extend(before.history, choice.target, choice.promotion, at), "rollback": choice.rollback}
    )
    reason = record(chosen, told, deployment)
    monitors = observed.service_monitors
    wanted = children(resource, spec, rollout, service_monitors=monitors, promotion=reason) if rollout else {}
    differing = {ref: tuple(differences(child, observed.children.get(ref))) for ref, child in wanted.items()}
    apply = tuple(child for ref, child in wanted.items() if differing[ref])
    truth = look(observed, spec.serving, rollout, deployment)
    unready = [pod for pod in truth.pods if not pod.ready and rollout and pod.rollout_id == rollout.id]
    failure = failures.find(unready, deployment, now) if not truth.complete else None

    service = judge_service(pods=truth.ready, policy=spec.service_level, before=before.service)
    autoscaling, scaling_wait = judge_autoscaling(
        scaling=spec.serving.autoscaling,
        autoscaler=observed.children.get(("HorizontalPodAutoscaler", resource.name)),
        truth=truth,
        before=before,
        now=now,
    )
    disabled_since = _disabled_since(spec, before, now)
    age = seconds_since(disabled_since, now)
    status = Status(
        observed_generation=resource.generation,
        active=reference(spec.registry.active_model, _found(spec, truth, choice)),
        serving=truth.serving,
        rollout=Rollout(id=rollout.id, model=rollout.model.name, version=rollout.model.version) if rollout else None,
        replicas=len(truth.pods),
        ready_replicas=len(truth.ready),
        active_replicas=len(truth.current) if choice.target == spec.registry.active_model else 0,
        selector=",".join(f"{key}={value}" for key, value in selector(resource.name).items()),
        conditions=conditions.dated(
            runbook.guided(
                conditions.findings(
                    active=spec.registry.active_model,
                    choice=choice,
                    truth=truth,
                    failure=failure,
                    pending=bool(apply),
                    blocked=_blocked(observed),
                    drift=_drift_finding(verdict, choice),
                    availability=Finding(*service.availability),
                    latency=Finding(*service.latency),
                    autoscaling=autoscaling,
                    anti_fraud=conditions.anti_fraud_finding(spec.anti_fraud.threshold, disabled_since, age),
                ),
                runbook_url,
            ),
            before,
            resource.generation,
            at,
        ),
        history=chosen.history,
        served=served,
        drift=verdict.shown,
        service=service.shown,
        anti_fraud=AntiFraudStatus(threshold=spec.anti_fraud.threshold, disabled_since=disabled_since),
        rollback=chosen.rollback,
    )
    waits = [failures.next_look(unready, now) if failure is None else None, scaling_wait]
    waits.append(OVERDUE_AFTER - age if age is not None and age < OVERDUE_AFTER else None)
    return Plan(
        status=status,
        children=tuple(wanted.values()),
        apply=() if observed.taken else apply,
        differences={"/".join(ref): paths for ref, paths in differing.items() if paths},
        delete=() if choice.target is None else _doomed(resource, observed, wanted),
        annotations=drift.drift_annotations(verdict.shown),
        events=transitions(told, status),
        requeue_after=min((wait for wait in waits if wait is not None), default=None),
    )


def _invalid(resource: CetaceanModel, before: Status, message: str, now: datetime, runbook_url: str) -> Plan:
    """A spec that cannot be read is told, and touches nothing: what serves goes on."""
    at = timestamp(now)
    dated = conditions.dated(runbook.guided(conditions.invalid(message), runbook_url), before, resource.generation, at)
    told = {condition.type for condition in dated}
    kept = tuple(condition for condition in before.conditions if condition.type not in told)
    status = before.model_copy(update={"observed_generation": resource.generation, "conditions": (*dated, *kept)})
    return Plan(status=status, events=transitions(before, status), annotations=dict(_own_annotations(resource)))


def _own_annotations(resource: CetaceanModel) -> dict[str, str]:
    return {key: value for key, value in resource.annotations.items() if key.startswith(f"{names.GROUP}/drift-")}


def _drift(spec: Spec, before: Status, past: ServingHistory, truth: RolloutState) -> DriftVerdict:
    """Judge the model that serves, whichever that is, by its own baseline."""
    serving = truth.serving
    model = _model_of(serving, past)
    metrics = past.metrics(model) if model else None
    same = before.drift is not None and before.serving == serving
    return drift.judge_drift(
        pods=truth.ready,
        model=serving,
        baseline=metrics.cetacean_score_mean if metrics else None,
        policy=spec.drift,
        before=before.drift if same else None,
    )


def _model_of(serving: ModelRef | None, past: ServingHistory) -> Model | None:
    if serving is None:
        return None
    found = (item for item in past.served if (item.entry.name, item.digest) == (serving.name, serving.digest))
    return next((past.listed(item) for item in found), None)


def _is_active(serving: ModelRef | None, spec: Spec) -> bool:
    active = spec.registry.active_model
    return serving is not None and serving.name == active.name and active.sha256 in (None, serving.digest)


def _drift_finding(verdict: DriftVerdict, choice: Choice) -> Finding:
    message = f"{verdict.message}; {choice.refusal}" if choice.refusal else verdict.message
    return Finding(verdict.status, verdict.reason, message)


def _found(spec: Spec, truth: RolloutState, choice: Choice) -> str | None:
    """The digest that pods loaded, where the registry names none."""
    return next(iter(sorted(truth.digests)), None) if choice.target == spec.registry.active_model else None


def _disabled_since(spec: Spec, before: Status, now: datetime) -> str | None:
    if spec.anti_fraud.threshold > 0.0:
        return None
    since, at = before.anti_fraud.disabled_since if before.anti_fraud else None, timestamp(now)
    # One that is still to come was written by a clock that has been set back since.
    return at if since is None or (seconds_since(since, now) or 0.0) < 0.0 else since


def _blocked(observed: Observed) -> tuple[str, str] | None:
    if observed.taken:
        return names.NAME_TAKEN, f"{observed.taken} exists and is not this resource's: rename one of the two"
    if observed.refused:
        return "ApplyRefused", observed.refused
    return None


def _doomed(resource: CetaceanModel, observed: Observed, wanted: dict[Ref, Object]) -> tuple[ChildRef, ...]:
    return tuple(
        ChildRef(kind, name, live["metadata"]["uid"])
        for (kind, name), live in sorted(observed.children.items())
        if (kind, name) not in wanted and "deletionTimestamp" not in live["metadata"] and _made(resource, live)
    )


def _made(resource: CetaceanModel, live: Object) -> bool:
    """Whether the operator made an object; labels prove nothing, `kubectl expose` copies them."""
    if (owner := controller_of(live)) is None:  # as `kubectl delete --cascade=orphan` leaves them
        return names.ANNOTATION_APPLIED in (live["metadata"].get("annotations") or {})
    return owner == (names.KIND, resource.name)
