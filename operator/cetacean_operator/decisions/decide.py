"""From what is observed to a plan: assess, choose, desired children, report.

Pure: the same arguments always give the same plan.
"""

from __future__ import annotations

from datetime import datetime

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Observed
from cetacean_operator.api.spec import InvalidResourceError, parse_spec
from cetacean_operator.api.status import Status, parse_status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.assess import assess
from cetacean_operator.decisions.desired_children import desired_children
from cetacean_operator.decisions.plan import Plan
from cetacean_operator.decisions.prefetch import plan_prefetch
from cetacean_operator.decisions.promotion import Choice, ChoiceInput, choose
from cetacean_operator.decisions.report import report, report_invalid_spec
from cetacean_operator.decisions.returned_candidates import add_returned
from cetacean_operator.decisions.rollback_proof import ProofInput
from cetacean_operator.decisions.serving_history import add_promotion


def decide(resource: CetaceanModel, observed: Observed, now: datetime, *, runbook_url: str = names.RUNBOOK) -> Plan:
    """Decide which children must exist and what the status says.

    Args:
        resource: the CetaceanModel with its last status.
        observed: children, pods and what they report.
        now: the time, aware of its zone.
        runbook_url: where messages that ask for a person link to.

    Returns:
        The plan. Applied and observed again, it leads to a plan with nothing to apply and the same status.
    """
    last_status = parse_status(resource.status)
    try:
        spec = parse_spec(resource.spec)
    except InvalidResourceError as error:
        invalid = report_invalid_spec(
            resource, str(error), last_status=last_status, at=timestamp(now), runbook_url=runbook_url
        )
        return Plan(status=invalid.status, annotations=invalid.annotations, events=invalid.events)
    assessment = assess(resource, spec, observed, last_status=last_status, now=now)
    choice = choose(
        ChoiceInput(
            spec=spec,
            history=assessment.history,
            deployed=assessment.deployed,
            proof=ProofInput(
                resource.name, assessment.drift_of_active, assessment.current_state.ready, last_status.comparison
            ),
            staged=assessment.stage_input,
            approvals=observed.approvals,
        )
    )
    next_status = _record(choice, assessment.status, assessment.at)
    prefetch = plan_prefetch(
        resource.name,
        spec,
        choice,
        children=assessment.children,
        pods=observed.prefetch_pods,
        last=last_status.prefetched or (),
        now=now,
    )
    desired = desired_children(assessment, choice, next_status, prefetch)
    result = report(assessment, choice, desired, next_status, prefetch=prefetch, runbook_url=runbook_url)
    return Plan(
        status=result.status,
        children=tuple(desired.manifests.values()),
        apply=() if observed.name_conflict else desired.changed,
        differences={"/".join(ref): paths for ref, paths in desired.differences.items()},
        delete=desired.stale,
        annotations=result.annotations,
        events=result.events,
        requeue_after=result.requeue_after,
    )


def _record(choice: Choice, status: Status, at: str) -> Status:
    """Return the status with the choice's promotion and rollback, and with a candidate that is removed."""
    history = status.history
    if choice.target and choice.promotion:
        reason, why, release, stages, decision = choice.promotion
        history = add_promotion(
            history, choice.target, reason=reason, why=why, at=at, release=release, stages=stages, decision=decision
        )
    returned = status.returned
    if choice.stages and choice.stages.returned:
        returned = add_returned(returned, choice.stages.returned)
    return status.model_copy(
        update={"history": history, "rollback": choice.rollback, "returned_candidates": returned or None}
    )
