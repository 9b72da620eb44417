"""A person's decision about a candidate: an annotation of the CetaceanModel, bound to weights and configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from cetacean_cli.cluster import Cluster, Object
from cetacean_cli.confirm import Change, Proposal
from cetacean_cli.errors import RefusedError
from cetacean_cli.options import ChangeFlags
from cetacean_cli.patch import patch_resource
from cetacean_cli.resource import CetaceanModel, describe
from cetacean_operator.api.candidate import CandidateStatus, Decision, PersonDecision, parse_decision
from cetacean_operator.api.names import ANNOTATION_DECISION, CANDIDATE_HELD, CANDIDATE_RETURNED, REGISTRY_DIVERGED
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.stages import has_promoted

Command = TypeVar("Command", bound=Callable[..., Any])
_PATH = f"/metadata/annotations/{ANNOTATION_DECISION.replace('/', '~1')}"
_DONE = {
    "Promote": "is to serve; the operator rolls it out",
    "Abort": "is to be removed; the operator keeps what serves",
    "Retry": "is to try again; the operator runs its stages from the one that it did not pass",
}


def why_option(command: Command) -> Command:
    """Add --why."""
    return click.option("--why", metavar="TEXT", help="Why, for the history; at most 1024 characters.")(command)


def decide(
    decision: Decision,
    name: str,
    *,
    why: str | None,
    wait: float | None,
    flags: ChangeFlags,
    cluster: Cluster,
) -> None:
    """Write a decision about the candidate of a CetaceanModel after the confirmation.

    Args:
        decision: what the operator is to do.
        name: of the resource.
        why: for the history.
        wait: for how many seconds to wait until all pods serve it; None: do not wait.
        flags: of the command.
        cluster: the cluster that it is in.

    Raises:
        RefusedError: the resource has no candidate, or one that needs no other try.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    found = require_candidate(resource)
    if decision == "Retry" and not _is_stopped(resource):
        raise RefusedError(
            f"{resource.subject}: {found.model} goes on by itself ({found.verdict}): only a candidate that was held or "
            "removed can try again"
        )
    annotations = resource.raw["metadata"].get("annotations") or {}
    written = PersonDecision(
        decision=decision,
        model=found.model,
        rollout=found.rollout,
        by=cluster.user_name(),
        at=timestamp(datetime.now(UTC)),
        why=why[:1024] if why else None,
    )
    last = parse_decision(annotations.get(ANNOTATION_DECISION))
    # A try that is over, and a promotion that was made, need a new decision.
    is_known = (
        last is not None
        and (last.decision, last.rollout) == (decision, found.rollout)
        and decision != "Retry"
        and not has_promoted(last, resource.status.history)
    )
    model = describe(resource.spec.registry.active_model)
    proposal = Proposal(
        subject=resource.subject,
        changes=() if is_known else (Change(f"candidate {found.model}", found.verdict, decision),),
        notes=(
            f"{last.by} has decided this already, at {last.at}"
            if last and is_known
            else f"{model}: {found.verdict}: {found.message}",
        ),
        extra={"decision": written.wire()},
    )
    patch_resource(
        proposal,
        _operations(annotations, written),
        resource=resource,
        cluster=cluster,
        flags=flags,
        done=f"{found.model} {_DONE[decision]}",
        wait=wait,
    )


def require_candidate(resource: CetaceanModel) -> CandidateStatus:
    """Return the candidate of a resource.

    Raises:
        RefusedError: it has none, or the operator has not acted on the present spec yet.
    """
    found = resource.status.candidate
    if not resource.is_current:
        raise RefusedError(f"{resource.subject}: the operator has not acted on the present spec yet: try again")
    if found is None or found.model != resource.spec.registry.active:
        raise RefusedError(f"{resource.subject}: {resource.spec.registry.active} is no candidate: no stages keep it")
    return found


def _is_stopped(resource: CetaceanModel) -> bool:
    diverged = resource.status.condition(REGISTRY_DIVERGED)
    return diverged is not None and diverged.reason in (CANDIDATE_HELD, CANDIDATE_RETURNED)


def _operations(annotations: dict[str, str], written: PersonDecision) -> list[Object]:
    begin: list[Object] = [] if annotations else [{"op": "add", "path": "/metadata/annotations", "value": {}}]
    return [*begin, {"op": "add", "path": _PATH, "value": json.dumps(written.wire(), sort_keys=True)}]
