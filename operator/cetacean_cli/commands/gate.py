"""`gate check`: compare two models of a registry's file by the operator's own rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cetacean_cli.errors import RefusedError
from cetacean_cli.options import Output, file_option, output_option
from cetacean_cli.output import print_json
from cetacean_cli.registry_file.checks import CheckedRegistry
from cetacean_cli.registry_file.load import find_entry, load_registry, metrics_of
from cetacean_registry import GatePolicy, GateVerdict, ModelEntry, judge

Command = TypeVar("Command", bound=Callable[..., Any])
_DEFAULTS = GatePolicy()


def policy_options(command: Command) -> Command:
    """Add an option for each bound of the gate."""
    for name, default, text in (
        ("--max-regression", _DEFAULTS.max_regression, "Largest drop of TNR, TPR and ROC AUC below the other model's."),
        ("--min-tpr", _DEFAULTS.min_tpr, "Lowest true positive rate."),
        ("--min-tnr", _DEFAULTS.min_tnr, "Lowest true negative rate."),
    ):
        kind = click.FloatRange(0.0, 1.0)
        command = click.option(name, type=kind, default=default, show_default=True, metavar="RATE", help=text)(command)
    return command


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
    min_tnr: float,
    min_tpr: float,
    max_regression: float,
    file: Path,
    output: Output,
) -> None:
    """Check if the model CANDIDATE of the registry's file may be promoted; exit code 1 if not.

    The operator and scripts/check_regression.py have the same rule: TNR and TPR must reach their bounds. TNR, TPR and
    ROC AUC must not lie too far below those of the active model on the same evaluation set. A missing figure refuses
    the candidate.
    """
    policy = GatePolicy(min_tnr=min_tnr, min_tpr=min_tpr, max_regression=max_regression)
    checked, registry = load_registry(file)
    entry = find_entry(registry, candidate, file)
    verdict = judge_entry(checked, entry, find_entry(registry, against or registry.active, file), policy)
    if output == "json":
        print_json(as_json(verdict))
    else:
        for line in lines(verdict):
            click.echo(line)
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
    findings = [{"figure": item.figure, "passed": item.passed, "text": item.text} for item in verdict.findings]
    return {
        "candidate": verdict.candidate,
        "comparedWith": verdict.compared_with,
        "passed": verdict.passed,
        "message": verdict.message,
        "findings": findings,
    }
