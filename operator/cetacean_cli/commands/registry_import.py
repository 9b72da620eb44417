"""`registry import`: write the registry of the previous service in the present format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cetacean_cli.confirm import Change, Proposal, confirm_and_apply
from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_cli.options import ChangeFlags, change_options, file_option
from cetacean_cli.registry_file.checks import CheckedRegistry, check_text, root_of
from cetacean_cli.registry_file.edit import create, read
from cetacean_cli.registry_file.previous_format import convert
from cetacean_registry.documents import parse_json
from cetacean_registry.regular_files import resolve_path


@click.command("import")
@click.argument("old", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--version",
    "versions",
    multiple=True,
    metavar="NAME=X.Y.Z",
    help="Version of a model, instead of the number at the end of its old version; may be repeated.",
)
@file_option
@change_options
def import_registry(*, old: Path, versions: tuple[str, ...], file: Path, flags: ChangeFlags) -> None:
    """Write the registry OLD of the previous service to a new file, in the format of this project.

    A version such as effb4-arcface-v1 becomes 1.0.0, and the architecture EfficientNetArcFace becomes
    CetaceanIdentificationModel. Models of other architectures are marked as deprecated. A model is left out if its
    version does not increase and it has no metrics snapshot. Metrics snapshots are copied, with the new version. The
    command shows each change, and fails if the new file would be invalid.
    """
    if file.exists():
        raise RefusedError(f"{file}: expected no file yet: move it away, or name another one with --file")
    converted = convert(parse_json(read(old), source=str(old)), versions=dict(map(_version, versions)))
    text = json.dumps(converted.registry, indent=2, ensure_ascii=False) + "\n"
    checked = check_text(text, old)  # its snapshots still lie beside the old file
    if checked.registry is None or checked.errors:
        raise BadInputError("; ".join(f"{old}: {fault.message}" for fault in checked.errors))
    snapshots = _snapshots(checked, file)
    proposal = Proposal(
        subject=str(file),
        changes=(Change("models", None, ", ".join(entry.name for entry in checked.registry.models)),),
        notes=(*converted.notes, *(f"{path}: copied" for path in snapshots)),
        warnings=tuple(fault.message for fault in checked.faults if not _is_solved(fault.message)),
        extra={"registry": converted.registry},
    )

    def apply() -> dict[str, Any]:
        if not flags.dry_run:
            for path, content in snapshots.items():
                create(path, content)
            create(file, text)
        return {}

    confirm_and_apply(
        proposal, apply, flags=flags, done=f"{file} is written; check it with: cetacean registry validate"
    )


def _version(text: str) -> tuple[str, str]:
    name, _, version = text.rpartition("=")
    if not name or not version:
        raise click.UsageError(f"--version: expected NAME=X.Y.Z, got {text!r}")
    return name, version


def _snapshots(checked: CheckedRegistry, file: Path) -> dict[Path, str]:
    """Return the snapshots to be written, by path: those that are not at their place beside the new file."""
    found: dict[Path, str] = {}
    for entry in checked.registry.models if checked.registry else ():
        snapshot = checked.snapshots.get(entry.name)
        if snapshot is None or entry.metrics_snapshot is None:
            continue
        path = root_of(file) / entry.metrics_snapshot
        if not resolve_path(path).is_relative_to(root_of(file)):
            raise BadInputError(f"{entry.name}: expected metrics_snapshot within {root_of(file)}, got {path}")
        if resolve_path(path) == resolve_path(root_of(checked.path) / entry.metrics_snapshot):
            continue
        content = snapshot.model_copy(update={"model_version": entry.version}).to_json()
        if path.exists() and read(path) != content:
            raise RefusedError(f"{path}: expected no file yet, or that of {entry.name}: move it away")
        if not path.exists():
            found[path] = content
    return found


def _is_solved(message: str) -> bool:
    return " has version " in message
