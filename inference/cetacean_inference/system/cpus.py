"""Number of usable processors: torch counts the machine's, a container is often allowed fewer."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")
"""The control groups of this process, one line for each hierarchy: `number:controllers:path`."""


def usable_cpus(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Processors of this process's affinity, bounded by the control groups' quotas (version 1 or 2), at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, cpu_quota(cgroups, membership))))


def cpu_quota(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float:
    """Return the quota in processors; infinity if there is none or it cannot be read.

    A group is bounded by its own quota and by those of all groups above it.

    Args:
        cgroups: where the hierarchies are mounted.
        membership: names the groups of the process.
    """
    return min(_quota(folder) for folder in _folders(cgroups, membership))


def _folders(cgroups: Path, membership: Path) -> Iterator[Path]:
    """Yield the folder of each group that may bound this process, of both versions."""
    # A container sees its own group at the top, often under a path that exists only on the node.
    yield from (cgroups, cgroups / "cpu", cgroups / "cpu,cpuacct")
    try:
        lines = os.fsdecode(membership.read_bytes()).splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            roots = [cgroups, cgroups / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [cgroups / controllers, cgroups / "cpu"]
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        if ".." in group.parts:  # outside of this process's namespace
            continue
        for root in roots:
            yield from (root / one for one in (group, *group.parents))


def _quota(folder: Path) -> float:
    """Return the quota of one group in processors; infinity if it has none."""
    try:
        if (unified := folder / "cpu.max").exists():
            allowed, period = unified.read_bytes().split()
        else:
            allowed = (folder / "cpu.cfs_quota_us").read_bytes()
            period = (folder / "cpu.cfs_period_us").read_bytes()
        quota = int(allowed) / int(period)  # "max" is no number
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
    return quota if quota > 0 else math.inf
