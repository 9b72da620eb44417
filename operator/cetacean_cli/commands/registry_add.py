"""`registry add`: append a model to the registry's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
from pydantic import ValidationError

from cetacean_cli.commands.gate import judge_entry
from cetacean_cli.confirm import Change, Proposal
from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_cli.options import ChangeFlags, change_options, file_option
from cetacean_cli.patch import write_registry
from cetacean_cli.registry_file import edit
from cetacean_cli.registry_file.checks import CheckedRegistry, Fault, check_text, root_of
from cetacean_cli.registry_file.load import find_entry, load_registry
from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.digests import file_sha256
from cetacean_registry.errors import describe
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import ModelEntry
from cetacean_registry.regular_files import resolve_path

Command = TypeVar("Command", bound=Callable[..., Any])
_COPIED_BY_LIKE: Final = (
    "architecture",
    "backbone",
    "embedding_size",
    "num_classes_head",
    "num_classes_active",
    "input_size",
    "license",
)
"""Fields that --like copies."""
_ALWAYS_WRITTEN: Final = ("name", "version", "architecture", "weights_url", "sha256", "trained_at", "metrics_snapshot")
"""Fields that are written even if they are null."""
_ORDER: Final = (
    "name",
    "display_name",
    *_ALWAYS_WRITTEN[1:],
    *_COPIED_BY_LIKE[1:],
    "notes",
    "author",
    "hotfix",
    "prefetch",
    "files",
    "signature_url",
)


def _entry_options(command: Command) -> Command:
    """Add an option for each further field of an entry, with the description of the format."""
    for field in reversed(_ORDER):
        if field in ("name", "version", "metrics_snapshot", "files"):
            continue
        info = ModelEntry.model_fields[field]
        if field in ("hotfix", "prefetch"):
            command = click.option(f"--{field}", is_flag=True, default=None, help=info.description)(command)
            continue
        kind = click.IntRange(min=1) if "size" in field or field.startswith("num_") else click.STRING
        command = click.option(f"--{field.replace('_', '-')}", type=kind, metavar="VALUE", help=info.description)(
            command
        )
    return command


@click.command()
@click.argument("name")
@click.option(
    "--version", required=True, metavar="X.Y.Z", help="Version, higher than all versions of the same architecture."
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The checkpoint on this disk, best a .safetensors file; its sha256 and those of encoder_classes.npy and "
    "species_map.csv beside it are computed.",
)
@click.option(
    "--metrics",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The metrics snapshot that scripts/compute_metrics.py wrote, within the repository.",
)
@click.option("--like", metavar="MODEL", help="Copy architecture, sizes and licence from this entry.")
@_entry_options
@file_option
@change_options
def add(
    *,
    name: str,
    weights: Path | None,
    metrics: Path | None,
    like: str | None,
    file: Path,
    flags: ChangeFlags,
    **fields: Any,
) -> None:
    """Append the model NAME to the registry's file; the rest of the file stays byte for byte.

    The command shows the model's figures and the gate's decision, and does not promote the model. It fails if the file
    would be invalid: a duplicate name, a version that does not increase, missing figures.
    """
    checked, registry = load_registry(file)
    if like:
        other = find_entry(registry, like, file)
        fields |= {field: getattr(other, field) for field in _COPIED_BY_LIKE if fields.get(field) is None}
    for needed in ("architecture", "weights_url"):
        if fields.get(needed) is None:
            hint = " or --like" if needed == "architecture" else ""
            raise click.UsageError(f"Missing option '--{needed.replace('_', '-')}'{hint}.")
    if weights:
        fields["sha256"] = _digest(weights, fields.get("sha256"))
        beside = {name: weights.parent / name for name in COMPANION_FILES}
        fields["files"] = {name: _digest(path, None) for name, path in beside.items() if path.is_file()} or None
    fields |= {"name": name, "metrics_snapshot": _relative(metrics, file) if metrics else None}
    data = {key: fields.get(key) for key in _ORDER if fields.get(key) is not None or key in _ALWAYS_WRITTEN}
    try:
        entry = ModelEntry.model_validate(data, by_alias=False, by_name=True)
    except ValidationError as error:
        raise BadInputError(describe(error)) from error
    if entry.sha256:
        data["sha256"] = entry.sha256
    text = edit.append_model(checked.document, data)
    after = check_text(text, file)
    new = _new_faults(checked, after)
    if errors := [fault.message for fault in new if fault.severity == "error"]:
        raise BadInputError("; ".join(errors))
    proposal = Proposal(
        subject=str(file),
        changes=(Change(f"models[{len(registry.models)}]", None, f"{name} {entry.version}"),),
        notes=(*_notes(data), *_figures(after, entry)),
        warnings=(*(fault.message for fault in new), *_format_warnings(entry)),
        extra={"entry": data},
    )
    write_registry(
        proposal,
        text,
        checked=checked,
        flags=flags,
        done=f"{name} is in {file}; promote it with: cetacean registry promote {name}",
    )


def _notes(data: dict[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from (f"{key}.{name}: {one}" for name, one in value.items())
        elif value is not None:
            yield f"{key}: {value}"


def _digest(weights: Path, given: str | None) -> str:
    try:
        found = file_sha256(weights)
    except OSError as error:
        raise BadInputError(f"{weights}: cannot be read: {error}") from error
    if given and given.lower() != found:
        raise BadInputError(f"{weights}: expected sha256 {given.lower()}, got {found}")
    return found


def _relative(path: Path, file: Path) -> str:
    root, found = root_of(file), resolve_path(path)
    if not found.is_relative_to(root):
        raise BadInputError(f"{path}: expected a file within {root}, as the registry's paths are relative to it")
    return found.relative_to(root).as_posix()


def _new_faults(before: CheckedRegistry, after: CheckedRegistry) -> list[Fault]:
    known = {(fault.severity, fault.message) for fault in before.faults}
    return [fault for fault in after.faults if (fault.severity, fault.message) not in known]


def _format_warnings(entry: ModelEntry) -> tuple[str, ...]:
    """Recommend the format that cannot contain code."""
    if urlsplit(entry.weights_url).path.partition("@")[0].endswith(".safetensors"):
        return ()
    refused = "" if entry.sha256 else "; without a sha256 the pods refuse a pickled one"
    return (f"weights_url: expected a .safetensors file, as a pickled checkpoint can contain code{refused}",)


def _figures(after: CheckedRegistry, entry: ModelEntry) -> tuple[str, ...]:
    """Return the entry's figures and the gate's decision as notes."""
    registry = after.registry
    snapshot = after.snapshots.get(entry.name)
    if registry is None or snapshot is None:
        return ()
    metrics = snapshot.metrics.model_dump(exclude_none=True)
    listed = ", ".join(f"{key} {value}" for key, value in metrics.items())
    try:
        verdict = judge_entry(after, entry, registry.active_model, GatePolicy()).message
    except RefusedError as error:
        verdict = error.message
    return f"figures: {listed}", f"the gate: {verdict}"
