"""`release`: what a promotion would need and do, in the cluster and in CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cetacean_cli.approvals import read_approvals
from cetacean_cli.cluster import Cluster
from cetacean_cli.errors import RefusedError
from cetacean_cli.options import Output, cluster_options, file_option, name_argument, output_option
from cetacean_cli.output import echo, print_json
from cetacean_cli.planned_stages import describe_stages
from cetacean_cli.registry_file.base import load_base, load_base_metrics
from cetacean_cli.registry_file.load import load_registry, metrics_of
from cetacean_cli.release_check import ReleaseCheck, check_release, policy_of
from cetacean_cli.resource import CetaceanModel, describe, forecast, last_served
from cetacean_operator.api.model_approval import Approvals
from cetacean_operator.decisions.approval import judge_approval
from cetacean_operator.decisions.release_type import release_type


@click.group()
def release() -> None:
    """Show what a release needs: its type, the gate and the approvals."""


@release.command()
@name_argument
@click.argument("model", required=False)
@output_option
@cluster_options
def plan(*, name: str, model: str | None, output: Output, cluster: Cluster) -> None:
    """Show what would happen if MODEL became the active one of the CetaceanModel NAME; default: the active model.

    The output has the type of the release, the gate's decision, the approvals that are given and those that are
    missing, and how the pods are replaced. The command changes nothing, and its exit code does not depend on the plan.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    approvals = read_approvals(resource, cluster)
    found = _plan(resource, model or resource.spec.registry.active, approvals)
    if output == "json":
        print_json(found)
        return
    echo(f"{resource.subject}: {found['describe']}")
    for key in ("release", "gate", "approvals", "stages", "result"):
        value = found[key]
        echo(f"  {key}: {value['message'] if isinstance(value, dict) else value}")


def _plan(resource: CetaceanModel, name: str, approvals: Approvals) -> dict[str, Any]:
    entry = resource.model(name)
    before = last_served(resource, other_than=entry)
    decision = forecast(resource, name, approvals=approvals)
    policy = resource.spec.approval
    needs = decision.approved is not None and policy is not None
    verdict = judge_approval(entry, serving=before, policy=policy, approvals=approvals) if needs and policy else None
    asked = "spec.approval is absent: none are asked for" if policy is None else "it has been promoted: none are needed"
    result = "the operator rolls it out" if decision.allowed else f"the operator does not start it: {decision.reason}"
    if decision.allowed and decision.stages:
        result = "the operator starts its stages, and rolls it out if it passes them"
    return {
        "model": {"name": entry.name, "version": entry.version, "sha256": entry.sha256},
        "describe": describe(entry),
        "release": release_type(entry, before),
        "gate": {"status": decision.gate.status, "reason": decision.gate.reason, "message": decision.gate.message},
        "approvals": {
            "missing": list(verdict.missing) if verdict else [],
            "given": [{"name": one.name, "at": one.at, **one.spec.wire()} for one in verdict.given] if verdict else [],
            "message": verdict.message if verdict else asked,
        },
        "stages": describe_stages(resource.spec, decision.stages),
        "allowed": decision.allowed,
        "result": result,
    }


@release.command()
@click.option("--base", required=True, metavar="REF", help="Git revision to compare with, e.g. origin/main.")
@click.option(
    "--resource",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="CetaceanModel manifest whose spec.approval and spec.gates hold; default: the playbook's rules.",
)
@click.option("--review", multiple=True, metavar="USER", help="A person who has approved the change; may be repeated.")
@click.option("--qa", multiple=True, metavar="USER", help="A person who has tested the model by hand; may be repeated.")
@file_option
@output_option
def check(
    *, base: str, resource: Path | None, review: tuple[str, ...], qa: tuple[str, ...], file: Path, output: Output
) -> None:
    """Check if a change of the registry's file has what its release needs; exit code 1 if something is missing.

    For CI. The command compares the active models of the file now and in the Git revision REF. If the file has no
    figures of the model of REF any more, they are read in REF too. It asks no cluster: reviews and QA are those of
    --review and --qa. A model that stands before the one of REF in the file counts as a
    rollback, which needs nothing; the operator makes sure that it has served.
    """
    checked, after = load_registry(file)
    found = check_release(
        before=load_base(file, base),
        after=after,
        metrics=lambda entry: metrics_of(checked, entry),
        metrics_before=lambda entry: load_base_metrics(file, base, entry),
        policy=policy_of(resource),
        review=review,
        qa=qa,
    )
    if output == "json":
        print_json(found.as_json())
    else:
        for line in _lines(found):
            echo(line)
    if found.missing:
        raise RefusedError(f"{found.summary}: missing: {', '.join(found.missing)}")


def _lines(found: ReleaseCheck) -> list[str]:
    return [found.summary, *(f"ok    {text}" for text in found.present), *(f"MISS  {text}" for text in found.missing)]
