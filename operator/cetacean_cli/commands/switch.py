"""`promote` and `rollback`: the one field that decides which model serves."""

from __future__ import annotations

import click

from cetacean_cli.asking import Change, Proposal
from cetacean_cli.changing import change_resource, operation
from cetacean_cli.cluster import Cluster
from cetacean_cli.errors import RefusedError
from cetacean_cli.options import ChangeOptions, change_options, cluster_options, name_argument, wait_options
from cetacean_cli.resource import CetaceanModel, describe, digest, forecast

_FIELD = "spec.registry.active"


@click.command()
@name_argument
@click.argument("model")
@wait_options
@change_options
@cluster_options
def promote(*, name: str, model: str, wait: float | None, how: ChangeOptions, cluster: Cluster) -> None:
    """Make MODEL the active one of the CetaceanModel NAME.

    Shows first what the operator will decide; what its gate would refuse is not tried. A model that has served before
    comes back without the gate. Where Argo CD, Flux or Helm manage the resource, change their source instead.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    _switch(resource, model, cluster=cluster, how=how, wait=wait)


@click.command()
@name_argument
@click.option("--to", metavar="MODEL", help="Else the model of the history that was promoted before the active one.")
@wait_options
@change_options
@cluster_options
def rollback(
    *,
    name: str,
    to: str | None,
    wait: float | None,
    how: ChangeOptions,
    cluster: Cluster,
) -> None:
    """Make the model active again that the CetaceanModel NAME had before.

    A model that has served before is not gated and does not wait for the present one to become healthy.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    model = to or resource.before()
    _switch(resource, model, cluster=cluster, how=how, wait=wait)


def _switch(
    resource: CetaceanModel,
    name: str,
    *,
    cluster: Cluster,
    how: ChangeOptions,
    wait: float | None,
) -> None:
    """Propose and make it; `wait` is how many seconds to wait afterwards, None: not at all."""
    old, new = resource.spec.registry.active, resource.model(name)
    foreseen = forecast(resource, name)
    same = old == name
    proposal = Proposal(
        subject=resource.subject,
        changes=() if same else (Change(_FIELD, old, name),),
        notes=(f"{name} is already active",) if same else _notes(resource, name, foreseen.message),
        warnings=() if same else resource.warnings(_FIELD),
        more={
            "model": {"name": new.name, "version": new.version, "sha256": new.sha256},
            "gate": {"allowed": foreseen.allowed, "reason": foreseen.reason, "message": foreseen.message},
        },
    )
    if not foreseen.allowed and not same:
        raise RefusedError(f"{foreseen.reason}: {foreseen.message}")
    change_resource(
        proposal,
        [operation("replace", _FIELD, name)],
        resource=resource,
        cluster=cluster,
        how=how,
        done=f"{name} is active; the operator rolls it out",
        wait=wait,
    )


def _notes(resource: CetaceanModel, name: str, gate: str) -> tuple[str, ...]:
    old, new = resource.spec.registry.active_model, resource.model(name)
    serving = resource.status.serving
    serves = f"{serving.name} {serving.version or ''} ({digest(serving.digest)})" if serving else "nothing"
    pods = "the pods" if resource.wanted is None else f"{resource.wanted} pods"
    return (
        f"from {describe(old)} to {describe(new)}",
        f"serving now: {serves}; {pods} will be replaced step by step",
        f"the operator will say: {gate}",
    )
