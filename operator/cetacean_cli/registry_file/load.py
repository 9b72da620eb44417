"""Load a registry's file for a command; each error is one line."""

from __future__ import annotations

from pathlib import Path

from cetacean_cli.errors import BadInputError
from cetacean_cli.registry_file.checks import CheckedRegistry, check, root_of
from cetacean_registry.figures import ModelMetrics
from cetacean_registry.metrics import MetricsSnapshot, snapshot_file
from cetacean_registry.outcomes import Outcome, load_outcomes
from cetacean_registry.registry import ModelEntry, Registry


def load_registry(path: Path) -> tuple[CheckedRegistry, Registry]:
    """Read a registry whose format is valid. Other faults do not matter here, as a rollback must always be possible.

    Raises:
        BadInputError: the file breaks the format's rules; the message has the first fault and the number of others.
        RegistryError: the file is no JSON.
    """
    checked = check(path)
    if checked.registry is None:
        first, *others = (checked.line(fault) for fault in checked.errors)
        more = f" (and {len(others)} more: cetacean registry validate)" if others else ""
        raise BadInputError(first + more)
    return checked, checked.registry


def metrics_of(checked: CheckedRegistry, entry: ModelEntry) -> ModelMetrics | None:
    """Return a model's figures, None if it names no snapshot.

    Raises:
        RegistryError: the snapshot that it names cannot be read.
    """
    if entry.metrics_snapshot is None:
        return None
    if entry.name not in checked.snapshots:
        return MetricsSnapshot.load(snapshot_file(entry.metrics_snapshot, root_of(checked.path))).metrics
    return checked.snapshots[entry.name].metrics


def outcomes_of(checked: CheckedRegistry, entry: ModelEntry) -> tuple[Outcome, ...] | None:
    """Return a model's outcomes picture by picture, None if there are none beside its snapshot.

    Raises:
        RegistryError: the file cannot be read, or is not the snapshot's.
    """
    if entry.metrics_snapshot is None or entry.name not in checked.snapshots:
        return None
    return load_outcomes(snapshot_file(entry.metrics_snapshot, root_of(checked.path)), checked.snapshots[entry.name])


def find_entry(registry: Registry, name: str, path: Path) -> ModelEntry:
    """Return the entry of that name.

    Raises:
        BadInputError: no entry has that name.
    """
    try:
        return registry.model(name)
    except KeyError:
        listed = ", ".join(entry.name for entry in registry.models)
        raise BadInputError(f"{path}: expected one of the models {listed}, got {name!r}") from None
