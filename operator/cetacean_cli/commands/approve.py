"""`approve`: create a ModelApproval in the user's own name."""

from __future__ import annotations

from typing import Any

import click
from pydantic import ValidationError

from cetacean_cli.approvals import read_approvals
from cetacean_cli.cluster import Cluster
from cetacean_cli.confirm import Change, Proposal, confirm_and_apply
from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_cli.options import ChangeFlags, change_options, cluster_options, name_argument
from cetacean_cli.resource import CetaceanModel, describe, forecast
from cetacean_operator.api.model_approval import (
    APPROVAL_KIND,
    Approval,
    ApprovalKind,
    Approvals,
    ModelApprovalSpec,
    approval_name,
)
from cetacean_operator.api.names import API_VERSION
from cetacean_operator.api.spec import Model
from cetacean_operator.decisions.approval import is_about
from cetacean_operator.decisions.identity import definition
from cetacean_registry.errors import describe as describe_faults


@click.command()
@name_argument
@click.argument("model")
@click.option("--qa", is_flag=True, help="You have tested the model by hand (kind QA); default: you have reviewed it.")
@click.option("--override", metavar="REASON", help="Answer for all that is missing (kind Override), and say why.")
@click.option("--evidence", metavar="URL", help="URL of what you have read: a review, a run of CI, a test report.")
@change_options
@cluster_options
def approve(
    *,
    name: str,
    model: str,
    qa: bool,
    override: str | None,
    evidence: str | None,
    flags: ChangeFlags,
    cluster: Cluster,
) -> None:
    """Approve MODEL for the CetaceanModel NAME, in your own name.

    The approval is bound to the sha256 in spec.registry and to all that decides the model's answers beside it, such as
    the digests of its classes. It cannot be changed, and counts once for each person and kind. It can be given before
    the model is active. To withdraw it, delete the ModelApproval.
    """
    if qa and override is not None:
        raise click.UsageError("--qa and --override exclude each other: approve twice.")
    resource = CetaceanModel.parse(cluster.get(name))
    entry = resource.model(model)
    if entry.sha256 is None:
        raise RefusedError(f"{resource.subject}: {model} has no sha256 in spec.registry, and approvals are bound to it")
    kind: ApprovalKind = "QA" if qa else "Review" if override is None else "Override"
    approval = _approval(name, entry, kind, cluster.user_name(), evidence=evidence, reason=override)
    given = read_approvals(resource, cluster)
    known = any(
        is_about(one, entry) and (one.spec.kind, one.spec.approver) == (kind, approval.spec.approver)
        for one in given.given
    )
    proposal = Proposal(
        subject=resource.subject,
        changes=() if known else (Change(f"modelapproval/{approval.name}", None, kind),),
        notes=_notes(resource, entry, approval, given, known=known),
        warnings=_warnings(resource, entry, approval),
        extra={"approval": {"name": approval.name, **approval.spec.wire()}},
    )

    def apply() -> dict[str, Any]:
        manifest = {
            "apiVersion": API_VERSION,
            "kind": APPROVAL_KIND,
            "metadata": {"name": approval.name, "namespace": cluster.namespace},
            "spec": approval.spec.wire(),
        }
        cluster.create_approval(manifest, dry_run=flags.dry_run)
        return {}

    confirm_and_apply(proposal, apply, flags=flags, done=f"{approval.spec.approver} has approved {model}")


def _approval(
    resource: str, entry: Model, kind: ApprovalKind, user: str, *, evidence: str | None, reason: str | None
) -> Approval:
    try:
        spec = ModelApprovalSpec(
            resource=resource,
            candidate=entry.name,
            digest=entry.sha256 or "",
            definition=definition(entry),
            kind=kind,
            approver=user,
            evidence=evidence,
            reason=reason,
        )
    except ValidationError as error:
        raise BadInputError(describe_faults(error)) from error
    return Approval(approval_name(spec), "", spec)


def _notes(
    resource: CetaceanModel, entry: Model, approval: Approval, given: Approvals, *, known: bool
) -> tuple[str, ...]:
    """Show what is approved by whom, and the operator's decision with the approval."""
    who = f"{approval.spec.kind} of {describe(entry)} by {approval.spec.approver}"
    if known:
        return (f"{approval.spec.approver} has approved {entry.name} already ({approval.spec.kind})",)
    after = forecast(resource, entry.name, approvals=Approvals((*given.given, approval), given.unreadable))
    decision = after.approved.message if after.approved else after.message
    return who, f"then: {decision}"


def _warnings(resource: CetaceanModel, entry: Model, approval: Approval) -> tuple[str, ...]:
    policy = resource.spec.approval
    if policy is None:
        return (f"{resource.subject} has no spec.approval: the operator asks nobody",)
    if policy.exclude_author and entry.author == approval.spec.approver:
        return (f"{entry.author} wrote the entry of {entry.name}: the approval will not count",)
    return ()
