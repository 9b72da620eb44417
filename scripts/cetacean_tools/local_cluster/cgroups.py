"""The cluster's cgroups: a subtree of its own in every hierarchy."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Return the mounted cgroup hierarchies: one of version 2, or one for each controller."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path for path in sorted(ROOT.iterdir()) if not path.is_symlink() and (path / "cgroup.procs").exists()]


def create_cgroups(name: str) -> None:
    """Make the subtree that is the kubelet's root."""
    for hierarchy in hierarchies():
        subtree = hierarchy / name
        subtree.mkdir(exist_ok=True)
        # A new cpuset is empty, and nothing can run in it.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (subtree / setting).exists() and (hierarchy / setting).exists():
                (subtree / setting).write_text((hierarchy / setting).read_text())


def remove_cgroups(name: str) -> list[Path]:
    """Remove the subtree from every hierarchy; return the folders that still hold processes."""
    left: list[Path] = []
    for hierarchy in hierarchies():
        subtree = hierarchy / name
        for folder, _, _ in os.walk(subtree, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        if subtree.exists():
            left.append(subtree)
    return left
