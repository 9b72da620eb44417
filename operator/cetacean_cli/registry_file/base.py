"""The registry's file, and the figures that it names, in another revision of its Git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from cetacean_cli.errors import BadInputError
from cetacean_cli.registry_file.checks import root_of
from cetacean_registry.figures import ModelMetrics
from cetacean_registry.metrics import MetricsSnapshot, snapshot_file
from cetacean_registry.registry import ModelEntry, Registry
from cetacean_registry.regular_files import resolve_path


def load_base(path: Path, revision: str) -> Registry:
    """Read the registry of a revision.

    Args:
        path: the file as it is now.
        revision: as Git names it.

    Raises:
        BadInputError: Git is not installed, or knows neither the revision nor the file in it.
        RegistryError: the file is invalid there.
    """
    place = resolve_path(path)
    return Registry.parse(_read(place.parent, place.name, revision, shown=path), source=f"{revision}:{path}")


def load_base_metrics(path: Path, revision: str, entry: ModelEntry) -> ModelMetrics | None:
    """Return the figures that an entry's snapshot has in a revision, None if it names no snapshot.

    Args:
        path: the registry's file as it is now.
        revision: as Git names it.
        entry: of the registry in that revision.

    Raises:
        BadInputError: Git is not installed, or knows neither the revision nor the snapshot in it.
        RegistryError: the snapshot is invalid there, or not within the repository.
    """
    if entry.metrics_snapshot is None:
        return None
    root = root_of(path)
    file = snapshot_file(entry.metrics_snapshot, root)
    text = _read(root, os.path.relpath(file, root), revision, shown=file)
    return MetricsSnapshot.parse(text, source=f"{revision}:{file}").metrics


def _read(folder: Path, name: str, revision: str, *, shown: Path) -> str:
    """Return a file's text in a revision; `name` is relative to `folder`."""
    git = shutil.which("git")
    if git is None:
        raise BadInputError("expected git on the PATH")
    if revision.startswith("-"):
        raise BadInputError(f"expected a Git revision, got {revision!r}")
    command = [git, "-C", str(folder), "show", f"{revision}:./{name}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)  # noqa: S603 -- no shell
    if done.returncode:
        raise BadInputError(f"{shown}: cannot be read in {revision}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode("utf-8", errors="replace")
