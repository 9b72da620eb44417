"""The programs `cetacean` and `kubectl-cetacean` on the PATH, as after an installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("cetacean", "kubectl-cetacean")
"""Of `[project.scripts]` in pyproject.toml."""


def install(folder: Path) -> dict[str, str]:
    """Write both programs into a folder; return an environment whose PATH begins with it."""
    for name in NAMES:
        file = folder / name
        file.write_text(f"#!{sys.executable}\nfrom cetacean_cli.main import main\n\nmain()\n")
        file.chmod(0o755)
    return environment(folder)


def environment(folder: Path, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment with that folder first on the PATH, and the project's code on Python's path."""
    code = os.pathsep.join(str(REPOSITORY / part) for part in ("operator", "models"))
    return {**given, "PATH": os.pathsep.join([str(folder), given.get("PATH", "")]), "PYTHONPATH": code}
