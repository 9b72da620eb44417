"""`gate check`: a candidate of a registry's file against another model of it, by the operator's own rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cetacean_cli.errors import RefusedError
from cetacean_cli.options import Output, file_option, output_option
from cetacean_cli.registry_file.checks import Checked
from cetacean_cli.registry_file.opening import entry_of, figures_of, open_registry
from cetacean_cli.showing import print_json
from cetacean_registry import GatePolicy, GateVerdict, ModelEntry, judge

Command = TypeVar("Command", bound=Callable[..., Any])
_DEFAULTS = GatePolicy()


def policy_options(command: Command) -> Command:
    """Add the gate's bounds."""
    for name, default, text in (
        ("--max-regression", _DEFAULTS.max_regression, "How far TNR, TPR and ROC AUC may lie below the other's."),
        ("--min-tpr", _DEFAULTS.min_tpr, "Lowest true positive rate."),
        ("--min-tnr", _DEFAULTS.min_tnr, "Lowest true negative rate."),
    ):
        kind = click.FloatRange(0.0, 1.0)
        command = click.option(name, type=kind, default=default, show_default=True, metavar="RATE", help=text)(command)
    return command


@click.group()
def gate() -> None:
    """The gate before promotion."""


@gate.command()
@click.argument("candidate")
@click.option("--against", metavar="MODEL", help="Whom to compare with; else the active model.")
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
    """May the model CANDIDATE of the registry's file be promoted? Exit code 1: no.

    The rule is that of the operator and of scripts/check_regression.py: TNR and TPR reach their bounds, and TNR, TPR
    and ROC AUC lie not too far below those of the active model on the same evaluation set. What is missing refuses.
    """
    policy = GatePolicy(min_tnr=min_tnr, min_tpr=min_tpr, max_regression=max_regression)
    checked, registry = open_registry(file)
    entry = entry_of(registry, candidate, file)
    verdict = judge_entry(checked, entry, entry_of(registry, against or registry.active, file), policy)
    if output == "json":
        print_json(as_json(verdict))
    else:
        for line in lines(verdict):
            click.echo(line)
    if not verdict.passed:
        raise RefusedError(verdict.message)


def judge_entry(checked: Checked, entry: ModelEntry, serving: ModelEntry, policy: GatePolicy) -> GateVerdict:
    """Judge an entry; against itself only the bounds count.

    Raises:
        RefusedError: it is deprecated.
    """
    if entry.deprecated:
        raise RefusedError(f"{entry.name} is refused: the registry says that it is deprecated")
    compared = serving.name != entry.name
    return judge(
        candidate=entry.name,
        metrics=figures_of(checked, entry),
        policy=policy,
        serving=serving.name if compared else None,
        serving_metrics=figures_of(checked, serving) if compared else None,
    )


def lines(verdict: GateVerdict) -> list[str]:
    """Every figure with its bound."""
    return [f"{'ok  ' if finding.passed else 'FAIL'}  {finding.text}" for finding in verdict.findings]


def as_json(verdict: GateVerdict) -> dict[str, Any]:
    """For programs."""
    findings = [{"figure": one.figure, "passed": one.passed, "text": one.text} for one in verdict.findings]
    return {
        "candidate": verdict.candidate,
        "comparedWith": verdict.compared_with,
        "passed": verdict.passed,
        "message": verdict.message,
        "findings": findings,
    }
