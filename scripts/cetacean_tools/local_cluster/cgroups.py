"""The cluster's cgroups: a subtree of its own in every hierarchy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> Iterator[Path]:
    """Yield the mounted cgroup hierarchies: one of version 2, or one for each controller."""
    if (ROOT / "cgroup.controllers").exists():
        yield ROOT
        return
    for path in sorted(ROOT.iterdir()):
        if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists():
            yield path


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
