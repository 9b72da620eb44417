"""Opening a registry's file for a command: what cannot be used is one line."""

from __future__ import annotations

from pathlib import Path

from cetacean_cli.errors import BadInputError
from cetacean_cli.registry_file.checks import Checked, check, root_of
from cetacean_registry import MetricsSnapshot, ModelEntry, ModelMetrics, Registry


def open_registry(path: Path) -> tuple[Checked, Registry]:
    """Read a registry whose format is right; other faults do not hinder, as going back must always be possible.

    Raises:
        BadInputError: the format's rules are broken; the message is the first fault, and how many more there are.
        RegistryError: it is no JSON.
    """
    checked = check(path)
    if checked.registry is None:
        first, *others = (checked.line(fault) for fault in checked.errors)
        more = f" (and {len(others)} more: cetacean registry validate)" if others else ""
        raise BadInputError(first + more)
    return checked, checked.registry


def figures_of(checked: Checked, entry: ModelEntry) -> ModelMetrics | None:
    """Return a model's figures, None where it names no snapshot.

    Raises:
        RegistryError: the snapshot that it names cannot be read.
    """
    if entry.metrics_snapshot is None:
        return None
    if entry.name not in checked.snapshots:
        MetricsSnapshot.load(root_of(checked.path) / entry.metrics_snapshot)
    return checked.snapshots[entry.name].metrics


def entry_of(registry: Registry, name: str, path: Path) -> ModelEntry:
    """Return the entry of that name.

    Raises:
        BadInputError: there is none.
    """
    try:
        return registry.model(name)
    except KeyError:
        listed = ", ".join(entry.name for entry in registry.models)
        raise BadInputError(f"{path}: expected one of the models {listed}, got {name!r}") from None
