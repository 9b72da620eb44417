"""OpenMP, with which torch computes: as many threads as processors may be used, and threads that sleep while they wait.

By default OpenMP starts a thread for each processor of the machine, and a thread that waits for the others spins. In a
container with a CPU quota, or beside another process, the spinning threads use up the time that the others need: three
evaluations side by side took three times as much processor time as one alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import Final

from cetacean_inference.system.cpus import usable_cpus

WAIT_POLICY: Final = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""The first is OpenMP's own, the second that of GCC's library, which torch contains."""
THREADS: Final = "OMP_NUM_THREADS"


def configure_openmp(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set OpenMP's variables that are not set; must run before torch is imported, which reads them only once.

    Child processes inherit them.
    """
    if not any(name in environment for name in WAIT_POLICY):
        environment.update(WAIT_POLICY)
    environment.setdefault(THREADS, str(usable_cpus()))


def num_threads(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of threads that compute: `OMP_NUM_THREADS` if it is valid, else the usable processors."""
    # OpenMP allows a number for each level of nesting.
    first = environment.get(THREADS, "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() and int(first) > 0 else usable_cpus()
