"""Number of usable processors: torch counts the machine's, a container is often allowed fewer."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")


def usable_cpus(cgroups: Path = CGROUPS) -> int:
    """Processors of this process's affinity, bounded by the control group's quota (version 2 or 1), at least 1."""
    affinity = len(os.sched_getaffinity(0))
    quota = _quota(cgroups)
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def _quota(cgroups: Path) -> float | None:
    """The quota in processors; None if there is none or it cannot be read."""
    try:
        if (unified := cgroups / "cpu.max").exists():
            allowed, period = unified.read_text().split()
        else:
            allowed = (cgroups / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroups / "cpu" / "cpu.cfs_period_us").read_text().strip()
        return None if allowed in ("max", "-1") else int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
