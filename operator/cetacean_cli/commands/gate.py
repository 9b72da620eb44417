"""`gate check`: compare two models of a registry's file by the operator's own rule, and picture by picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cetacean_cli.errors import RefusedError
from cetacean_cli.options import Output, file_option, output_option
from cetacean_cli.output import echo, print_json
from cetacean_cli.policy_options import policy_options
from cetacean_cli.registry_file.checks import CheckedRegistry
from cetacean_cli.registry_file.load import find_entry, load_registry, metrics_of, outcomes_of
from cetacean_registry.gate import GateVerdict, judge
from cetacean_registry.pairs import PictureComparison, compare_pictures
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import ModelEntry


@click.group()
def gate() -> None:
    """Check the gate that a model must pass before its promotion."""


@gate.command()
@click.argument("candidate")
@click.option("--against", metavar="MODEL", help="Model to compare with; default: the active one.")
@policy_options
@file_option
@output_option
def check(
    *,
    candidate: str,
    against: str | None,
    policy: GatePolicy,
    file: Path,
    output: Output,
) -> None:
    """Check if the model CANDIDATE of the registry's file may be promoted; exit code 1 if not.

    The operator and scripts/check_regression.py have the same rule: TNR and TPR must reach their bounds. TNR, TPR and
    ROC AUC must not lie too far below those of the active model on the same evaluation set; top-1 and species accuracy
    neither, if both models have them. A figure that is missing and that a bound needs refuses the candidate.

    If both models have their outcomes beside the snapshot, they are also compared picture by picture: the candidate is
    refused if McNemar's exact test shows that it is worse, and if it lost more than --max-regression. The pictures that
    turned from right to wrong are listed.
    """
    checked, registry = load_registry(file)
    entry = find_entry(registry, candidate, file)
    serving = find_entry(registry, against or registry.active, file)
    figures = judge_entry(checked, entry, serving, policy)
    compared = compare_pictures(figures, outcomes_of(checked, entry), outcomes_of(checked, serving), policy)
    verdict = compared.verdict
    if output == "json":
        print_json(as_json(verdict) | _pictures(compared))
    else:
        for line in (*lines(verdict), *compared.lines()):
            echo(line)
    if not verdict.passed:
        raise RefusedError(verdict.message)


def judge_entry(checked: CheckedRegistry, entry: ModelEntry, serving: ModelEntry, policy: GatePolicy) -> GateVerdict:
    """Judge an entry; if it is the serving one, only the bounds count.

    Raises:
        RefusedError: the entry is deprecated.
    """
    if entry.deprecated:
        raise RefusedError(f"{entry.name} is refused: the registry says that it is deprecated")
    compared = serving.name != entry.name
    return judge(
        candidate=entry.name,
        metrics=metrics_of(checked, entry),
        policy=policy,
        serving=serving.name if compared else None,
        serving_metrics=metrics_of(checked, serving) if compared else None,
    )


def lines(verdict: GateVerdict) -> list[str]:
    """Return a line for each figure and its bound."""
    return [f"{'ok  ' if finding.passed else 'FAIL'}  {finding.text}" for finding in verdict.findings]


def as_json(verdict: GateVerdict) -> dict[str, Any]:
    """Return the verdict as programs read it."""
    findings = [
        {"figure": item.figure, "passed": item.passed, "conclusive": item.conclusive, "text": item.text}
        for item in verdict.findings
    ]
    return {
        "candidate": verdict.candidate,
        "comparedWith": verdict.compared_with,
        "passed": verdict.passed,
        "message": verdict.message,
        "findings": findings,
    }


def _pictures(compared: PictureComparison) -> dict[str, Any]:
    """Return the comparison picture by picture as programs read it; `pictures` is null if there is none."""
    if not compared.pairs:
        return {"pictures": None}
    return {
        "pictures": [
            {
                "figure": pair.figure,
                "pictures": pair.pictures,
                "wrongToRight": pair.wrong_to_right,
                "rightToWrong": [outcome.picture for outcome in pair.right_to_wrong],
                "pValue": pair.p_value,
                "result": pair.result,
            }
            for pair in compared.pairs
        ]
    }
