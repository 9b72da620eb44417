"""The cluster's cgroups: a subtree of its own in every hierarchy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> Iterator[Path]:
    """The mounted cgroup hierarchies: one of version 2, or one for each controller."""
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    for path in sorted(_ROOT.iterdir()):
        if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists():
            yield path


def create_cgroups(name: str) -> None:
    """Make the subtree that the kubelet is given as its root."""
    for hierarchy in hierarchies():
        subtree = hierarchy / name
        subtree.mkdir(exist_ok=True)
        # A new cpuset is empty, and nothing can run in it.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (subtree / setting).exists() and (hierarchy / setting).exists():
                (subtree / setting).write_text((hierarchy / setting).read_text())


def remove_cgroups(name: str) -> list[Path]:
    """Remove the subtree from every hierarchy; return what could not be removed, since processes are in it."""
    left: list[Path] = []
    for hierarchy in hierarchies():
        subtree = hierarchy / name
        for folder, _, _ in os.walk(subtree, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        if subtree.exists():
            left.append(subtree)
    return left
