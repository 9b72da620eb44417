"""`registry`: check and edit `models/registry.json`, and write the CetaceanModel that mirrors it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cetacean_cli.asking import Change, Proposal
from cetacean_cli.changing import change_file
from cetacean_cli.commands.gate import as_json, judge_entry, policy_options
from cetacean_cli.commands.registry_add import add
from cetacean_cli.commands.registry_manifest import to_manifest
from cetacean_cli.errors import RefusedError
from cetacean_cli.options import ChangeOptions, Output, change_options, file_option, output_option
from cetacean_cli.registry_file import edit
from cetacean_cli.registry_file.checks import Checked, check
from cetacean_cli.registry_file.opening import entry_of, open_registry
from cetacean_cli.showing import print_json
from cetacean_registry import GatePolicy, ModelEntry, Registry


@click.group()
def registry() -> None:
    """Check and edit models/registry.json, the source of truth."""


registry.add_command(add)
registry.add_command(to_manifest)


@registry.command()
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@file_option
@output_option
def validate(*, strict: bool, file: Path, output: Output) -> None:
    """Tell everything that is wrong with the registry's file, each fault with its line and column.

    Exit code 1: something is wrong. Errors: what the format forbids; a key or a name twice; a version that does not
    increase within its architecture; an active model that is not there; metrics snapshots that are missing, unreadable
    or without the gate's figures; a sha256 that is not that of the file at weights_path, where that file is here.
    Warnings: no sha256, no metrics snapshot, no cetacean_score_mean, a snapshot of another version, the same weights
    twice.
    """
    checked = check(file)
    bad = checked.faults if strict else checked.errors
    if output == "json":
        faults = [
            {"severity": one.severity, "line": one.line, "column": one.column, "message": one.message}
            for one in checked.faults
        ]
        print_json({"file": str(file), "valid": not bad, "faults": faults})
    else:
        for fault in checked.faults:
            click.echo(checked.line(fault))
    if bad:
        raise RefusedError(f"{file}: {len(bad)} to mend")
    if output == "table" and checked.registry:
        click.echo(f"{file}: {len(checked.registry.models)} models, active {checked.registry.active}: valid")


@registry.command()
@click.argument("name")
@policy_options
@file_option
@change_options
def promote(
    *,
    name: str,
    min_tnr: float,
    min_tpr: float,
    max_regression: float,
    file: Path,
    how: ChangeOptions,
) -> None:
    """Make the model NAME the active one, if the gate lets it pass against the model that is active now."""
    checked, found = open_registry(file)
    entry = entry_of(found, name, file)
    policy = GatePolicy(min_tnr=min_tnr, min_tpr=min_tpr, max_regression=max_regression)
    verdict = judge_entry(checked, entry, found.active_model, policy)
    if not verdict.passed:
        raise RefusedError(verdict.message)
    _activate(checked, found, entry, (verdict.message,), how=how, gate=as_json(verdict))


@registry.command()
@click.option("--to", metavar="NAME", help="Else the entry before the active one that is not deprecated.")
@file_option
@change_options
def rollback(*, to: str | None, file: Path, how: ChangeOptions) -> None:
    """Make an earlier model the active one again, without the gate.

    The file keeps no history. Models are appended, so the model before is the one that stands before; name another with
    --to. The cluster's history is `cetacean history`.
    """
    checked, found = open_registry(file)
    entry = entry_of(found, to, file) if to else _before(found, file)
    _activate(checked, found, entry, ("the gate is not asked on the way back",), how=how)


def _before(registry: Registry, file: Path) -> ModelEntry:
    index = [entry.name for entry in registry.models].index(registry.active)
    for entry in reversed(registry.models[:index]):
        if not entry.deprecated:
            return entry
    raise RefusedError(f"{file}: no model stands before {registry.active} that is not deprecated; say which with --to")


def _activate(
    checked: Checked,
    registry: Registry,
    entry: ModelEntry,
    notes: tuple[str, ...],
    *,
    how: ChangeOptions,
    gate: dict[str, Any] | None = None,
) -> None:
    same = entry.name == registry.active
    text = edit.set_active(checked.document, entry.name)
    proposal = Proposal(
        subject=str(checked.path),
        changes=() if same else (Change("active", registry.active, entry.name),),
        notes=(f"{entry.name} is already active",) if same else notes,
        warnings=(f"{entry.name} is deprecated",) if entry.deprecated else (),
        more={"gate": gate} if gate else {},
    )
    change_file(
        proposal,
        text,
        checked=checked,
        how=how,
        done=f"{entry.name} is active in {checked.path}",
    )
