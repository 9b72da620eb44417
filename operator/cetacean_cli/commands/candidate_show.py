"""`candidate show`: the stage of a candidate, and what it has shown so far."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cetacean_cli.cluster import Cluster
from cetacean_cli.options import Output, cluster_options, name_argument, output_option
from cetacean_cli.output import echo, key_value_table, print_json, table
from cetacean_cli.output import show as print_view
from cetacean_cli.resource import CetaceanModel, digest
from cetacean_operator.api import names
from cetacean_operator.api.base import ApiModel
from cetacean_operator.api.candidate import CandidateStatus


@click.command()
@name_argument
@output_option
@cluster_options
def show(*, name: str, output: Output, cluster: Cluster) -> None:
    """Show the candidate of the CetaceanModel NAME: its stage, the figures, and each requirement with its bounds.

    Candidates that were removed are listed with the reason. The exit code does not depend on the verdict.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    status = resource.status
    condition = status.condition(names.CANDIDATE_PASSED)
    if output == "json":
        print_json(
            {
                "condition": condition.wire() if condition else None,
                "candidate": status.candidate.wire() if status.candidate else None,
                "returned": [one.wire() for one in status.returned],
            }
        )
        return
    if condition is None:
        echo(f"{resource.subject} has no spec.rollout.stages")
        return
    rows = [("CandidatePassed", f"{condition.status} {condition.reason}: {condition.message}")]
    if status.candidate:
        rows += _rows(status.candidate)
    print_view(key_value_table(rows))
    if status.candidate and status.candidate.requirements:
        echo()
        head = ("REQUIREMENT", "OBSERVED", "LOW", "HIGH", "AT LEAST", "OF")
        shares = status.candidate.requirements
        print_view(table(head, ((s.name, s.observed, s.low, s.high, s.smallest, s.trials) for s in shares)))
    if status.returned:
        echo()
        removed = status.returned
        print_view(table(("REMOVED", "MODEL", "REASON", "WHY"), ((r.at, r.model, r.reason, r.why) for r in removed)))


def _rows(found: CandidateStatus) -> Iterator[tuple[str, str]]:
    yield "Model", f"{found.model} {found.version} ({digest(found.digest)})"
    if found.stage is not None:
        yield "Stage", f"{found.stage} of {found.stages} ({found.kind}), since {found.since}"
    for number, passed in enumerate(found.passed, start=1):
        yield f"Passed {number}", f"{passed.kind} at {passed.at}: {passed.message}"
    for part in (found.shadow, found.canary):
        if part is not None:
            yield from _figures(part)


def _figures(part: ApiModel) -> Iterator[tuple[str, str]]:
    yield "Figures", ", ".join(f"{name} {value}" for name, value in part.wire().items())
