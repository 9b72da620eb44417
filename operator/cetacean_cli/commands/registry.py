"""`registry`: check and edit `models/registry.json`, and print the CetaceanModel that mirrors it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cetacean_cli.commands.gate import as_json, judge_entry
from cetacean_cli.commands.registry_add import add
from cetacean_cli.commands.registry_import import import_registry
from cetacean_cli.commands.registry_manifest import to_manifest
from cetacean_cli.commands.registry_sign import sign, verify
from cetacean_cli.confirm import Change, Proposal
from cetacean_cli.errors import RefusedError
from cetacean_cli.options import ChangeFlags, Output, change_options, file_option, output_option
from cetacean_cli.output import echo, print_json
from cetacean_cli.patch import write_registry
from cetacean_cli.policy_options import policy_options
from cetacean_cli.registry_file import edit
from cetacean_cli.registry_file.checks import CheckedRegistry, check
from cetacean_cli.registry_file.load import find_entry, load_registry
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import ModelEntry, Registry


@click.group()
def registry() -> None:
    """Check and edit models/registry.json, the source of truth."""


registry.add_command(add)
registry.add_command(import_registry)
registry.add_command(to_manifest)
registry.add_command(sign)
registry.add_command(verify)


@registry.command()
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@file_option
@output_option
def validate(*, strict: bool, file: Path, output: Output) -> None:
    """List every fault of the registry's file with its line and column; exit code 1 if there is an error.

    Errors: a value that the format forbids; a duplicate key or name; a version that does not increase within its
    architecture; an active model that is not listed; a metrics snapshot that is missing, unreadable, above 16 MiB,
    outside of the repository or without the gate's figures; a sha256 that differs from that of the file at
    weights_path, if that file exists. Warnings: no sha256, no metrics snapshot, no cetacean_score_mean, a snapshot of
    another version, the same weights in two entries.
    """
    checked = check(file)
    bad = checked.faults if strict else checked.errors
    if output == "json":
        faults = [
            {"severity": item.severity, "line": item.line, "column": item.column, "message": item.message}
            for item in checked.faults
        ]
        print_json({"file": str(file), "valid": not bad, "faults": faults})
    else:
        for fault in checked.faults:
            echo(checked.line(fault))
    if bad:
        raise RefusedError(f"{file}: faults to fix: {len(bad)}")
    if output == "table" and checked.registry:
        echo(f"{file}: {len(checked.registry.models)} models, active {checked.registry.active}: valid")


@registry.command()
@click.argument("name")
@policy_options
@file_option
@change_options
def promote(
    *,
    name: str,
    policy: GatePolicy,
    file: Path,
    flags: ChangeFlags,
) -> None:
    """Make the model NAME the active one, if the gate lets it pass against the model that is active now."""
    checked, found = load_registry(file)
    entry = find_entry(found, name, file)
    verdict = judge_entry(checked, entry, found.active_model, policy)
    if not verdict.passed:
        raise RefusedError(verdict.message)
    _activate(checked, found, entry, (verdict.message,), flags=flags, gate=as_json(verdict))


@registry.command()
@click.option("--to", metavar="NAME", help="Default: the last entry before the active one that is not deprecated.")
@file_option
@change_options
def rollback(*, to: str | None, file: Path, flags: ChangeFlags) -> None:
    """Make an earlier model the active one again, without the gate.

    The file keeps no history. New models are appended, so the previous model is the entry before the active one. Name
    another with --to. For the cluster's history use `cetacean history`.
    """
    checked, found = load_registry(file)
    entry = find_entry(found, to, file) if to else _previous_entry(found, file)
    _activate(checked, found, entry, ("a rollback needs no gate",), flags=flags)


def _previous_entry(registry: Registry, file: Path) -> ModelEntry:
    index = [entry.name for entry in registry.models].index(registry.active)
    for entry in reversed(registry.models[:index]):
        if not entry.deprecated:
            return entry
    raise RefusedError(f"{file}: expected an entry before {registry.active} that is not deprecated; name one with --to")


def _activate(
    checked: CheckedRegistry,
    registry: Registry,
    entry: ModelEntry,
    notes: tuple[str, ...],
    *,
    flags: ChangeFlags,
    gate: dict[str, Any] | None = None,
) -> None:
    same = entry.name == registry.active
    text = edit.set_active(checked.document, entry.name)
    proposal = Proposal(
        subject=str(checked.path),
        changes=() if same else (Change("active", registry.active, entry.name),),
        notes=(f"{entry.name} is already active",) if same else notes,
        warnings=(f"{entry.name} is deprecated",) if entry.deprecated else (),
        extra={"gate": gate} if gate else {},
    )
    write_registry(
        proposal,
        text,
        checked=checked,
        flags=flags,
        done=f"{entry.name} is active in {checked.path}",
    )
