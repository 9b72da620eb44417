"""First step of a decision: the state of the cluster, and how the model that serves is doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cetacean_operator.api import names
from cetacean_operator.api.candidate import parse_decision
from cetacean_operator.api.observed import CetaceanModel, Object, Observed
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import Status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.comparison import compared_model
from cetacean_operator.decisions.drift import DriftVerdict, judge_drift
from cetacean_operator.decisions.failed_rollout import overdue_rollout
from cetacean_operator.decisions.identity import deployed_model, rollout_of
from cetacean_operator.decisions.lineage import find_served, may_report
from cetacean_operator.decisions.ownership import Ref, is_owned_by
from cetacean_operator.decisions.promotion_record import read_promotion_record
from cetacean_operator.decisions.rollout_state import CurrentState, current_state
from cetacean_operator.decisions.service import ServiceVerdict, judge_service
from cetacean_operator.decisions.serving_history import ServingHistory, add_served
from cetacean_operator.decisions.stage_input import StageInput, planned_run


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that the next steps depend on."""

    resource: CetaceanModel
    spec: Spec
    observed: Observed
    now: datetime
    last_status: Status
    """As it was written last."""
    status: Status
    """With the promotions that only the Deployment records."""
    children: Mapping[Ref, Object]
    """Live children; objects of other owners are left out."""
    deployed: Model | None
    """The model in the Deployment's pod template."""
    current_state: CurrentState
    history: ServingHistory
    drift: DriftVerdict
    """Of the model that serves, whichever that is."""
    service: ServiceVerdict

    @property
    def at(self) -> str:
        """The time of the decision as a timestamp."""
        return timestamp(self.now)

    @property
    def deployment(self) -> Object | None:
        """The live Deployment."""
        return self.children.get(("Deployment", self.resource.name))

    @property
    def candidate_deployment(self) -> Object | None:
        """The live Deployment of the candidate."""
        return self.children.get(("Deployment", names.candidate_name(self.resource.name)))

    @property
    def stage_input(self) -> StageInput:
        """The facts about the candidate."""
        name = self.resource.name
        return StageInput(
            name=name,
            now=self.now,
            pods=self.current_state.ready,
            wanted=self.current_state.wanted,
            candidate_pods=self.observed.candidate_pods,
            deployment=self.candidate_deployment,
            live_run=planned_run(self.children.get(("ConfigMap", f"{name}-monitoring"))),
            decision=parse_decision(self.resource.annotations.get(names.ANNOTATION_DECISION)),
            overdue=overdue_rollout(self.current_state.pods, self.current_state.wanted, self.deployment, self.now),
            name_conflict=self.observed.candidate_conflict,
        )

    @property
    def drift_of_active(self) -> DriftVerdict | None:
        """Drift of the active model, None while another model serves."""
        serving, active = self.current_state.serving, self.spec.registry.active_model
        return self.drift if serving and may_report(active, serving) else None


def assess(
    resource: CetaceanModel, spec: Spec, observed: Observed, *, last_status: Status, now: datetime
) -> Assessment:
    """Assess what was observed of a resource."""
    children = {ref: live for ref, live in observed.children.items() if is_owned_by(live, resource)}
    deployment = children.get(("Deployment", resource.name))
    deployed = deployed_model(deployment)
    status = read_promotion_record(last_status, deployment, deployed)
    state = current_state(observed.pods, spec.serving, deployment)
    known = spec.registry.models
    rollout = rollout_of(deployed, spec.anti_fraud) if deployed else None
    compared = compared_model(resource.name, children)
    served = add_served(status, ready=state.ready, known=known, deployed=rollout, compared=compared, at=timestamp(now))
    history = ServingHistory(status, served, known, compared)
    return Assessment(
        resource=resource,
        spec=spec,
        observed=observed,
        now=now,
        last_status=last_status,
        status=status,
        children=children,
        deployed=deployed,
        current_state=state,
        history=history,
        drift=_judge_drift(spec, state, history),
        service=judge_service(pods=state.ready, policy=spec.service_level, last=last_status.service),
    )


def _judge_drift(spec: Spec, state: CurrentState, history: ServingHistory) -> DriftVerdict:
    """Judge the model that serves by its own figures."""
    serving, last_status = state.serving, history.status
    item = find_served(history.served, serving) if serving else None
    metrics = history.metrics(history.current_entry(item)) if item else None
    return judge_drift(
        pods=state.ready,
        model=serving,
        metrics=metrics,
        policy=spec.drift,
        last=last_status.drift if last_status.serving == serving else None,
    )
