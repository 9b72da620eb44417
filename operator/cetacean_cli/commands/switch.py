"""`promote` and `rollback`: change `spec.registry.active`, which decides which model serves."""

from __future__ import annotations

import click

from cetacean_cli.approvals import read_approvals
from cetacean_cli.cluster import Cluster
from cetacean_cli.confirm import Change, Proposal
from cetacean_cli.errors import RefusedError
from cetacean_cli.options import ChangeFlags, change_options, cluster_options, name_argument, wait_options
from cetacean_cli.patch import patch_operation, patch_resource
from cetacean_cli.resource import CetaceanModel, describe, digest, forecast
from cetacean_operator.api.names import APPROVAL_MISSING

_FIELD = "spec.registry.active"


@click.command()
@name_argument
@click.argument("model")
@wait_options
@change_options
@cluster_options
def promote(*, name: str, model: str, wait: float | None, flags: ChangeFlags, cluster: Cluster) -> None:
    """Make MODEL the active one of the CetaceanModel NAME.

    The command first shows the operator's decision, and changes nothing if the gate would refuse the model or if it
    lacks approvals. A model that has served before comes back without either. If Argo CD, Flux or Helm manage the
    resource, change their source instead.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    _switch(resource, model, cluster=cluster, flags=flags, wait=wait)


@click.command()
@name_argument
@click.option(
    "--to", metavar="MODEL", help="Default: the model of the history that was promoted before the active one."
)
@wait_options
@change_options
@cluster_options
def rollback(
    *,
    name: str,
    to: str | None,
    wait: float | None,
    flags: ChangeFlags,
    cluster: Cluster,
) -> None:
    """Make the previous model of the CetaceanModel NAME active again.

    A model that has served before needs no gate, and does not wait until the present one is healthy.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    model = to or resource.previous_model()
    _switch(resource, model, cluster=cluster, flags=flags, wait=wait)


def _switch(
    resource: CetaceanModel,
    name: str,
    *,
    cluster: Cluster,
    flags: ChangeFlags,
    wait: float | None,
) -> None:
    """Propose the model `name` and make it active; then wait for `wait` seconds, None: do not wait."""
    old, new = resource.spec.registry.active, resource.model(name)
    decision = forecast(resource, name, approvals=read_approvals(resource, cluster))
    same = old == name
    proposal = Proposal(
        subject=resource.subject,
        changes=() if same else (Change(_FIELD, old, name),),
        notes=(f"{name} is already active",) if same else _notes(resource, name, decision.message),
        warnings=() if same else resource.warnings(_FIELD),
        extra={
            "model": {"name": new.name, "version": new.version, "sha256": new.sha256},
            "gate": {"allowed": decision.allowed, "reason": decision.reason, "message": decision.message},
        },
    )
    if not decision.allowed and not same:
        hint = "; see `cetacean release plan`, then `cetacean approve`" if decision.reason == APPROVAL_MISSING else ""
        raise RefusedError(f"{decision.reason}: {decision.message}{hint}")
    patch_resource(
        proposal,
        [patch_operation("replace", _FIELD, name)],
        resource=resource,
        cluster=cluster,
        flags=flags,
        done=f"{name} is active; the operator rolls it out",
        wait=wait,
    )


def _notes(resource: CetaceanModel, name: str, gate: str) -> tuple[str, ...]:
    old, new = resource.spec.registry.active_model, resource.model(name)
    serving = resource.status.serving
    serves = f"{serving.name} {serving.version or ''} ({digest(serving.digest)})" if serving else "nothing"
    pods = "the pods" if resource.desired_replicas is None else f"{resource.desired_replicas} pods"
    return (
        f"from {describe(old)} to {describe(new)}",
        f"serving now: {serves}; {pods} will be replaced step by step",
        f"the operator's decision: {gate}",
    )
