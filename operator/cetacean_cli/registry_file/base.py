"""The registry's file in another revision of its Git repository."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from cetacean_cli.errors import BadInputError
from cetacean_registry.registry import Registry


def load_base(path: Path, revision: str) -> Registry:
    """Read the registry of a revision.

    Args:
        path: the file as it is now.
        revision: as Git names it.

    Raises:
        BadInputError: Git is not installed, or knows neither the revision nor the file in it.
        RegistryError: the file is invalid there.
    """
    git = shutil.which("git")
    if git is None:
        raise BadInputError("expected git on the PATH")
    if revision.startswith("-"):
        raise BadInputError(f"expected a Git revision, got {revision!r}")
    place = path.resolve()
    command = [git, "-C", str(place.parent), "show", f"{revision}:./{place.name}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)  # noqa: S603 -- no shell
    if done.returncode:
        raise BadInputError(f"{path}: cannot be read in {revision}: {done.stderr.decode(errors='replace').strip()}")
    return Registry.parse(done.stdout.decode("utf-8", errors="replace"), source=f"{revision}:{path}")
