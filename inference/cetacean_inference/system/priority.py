"""Thread priorities: threads that compute have a lower one, so that health, metrics and rejections stay prompt.

Priorities hold among the threads of one container; its share of the node is the control group's setting.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Final

NICENESS: Final = 5
"""Added to that of the main thread: an absolute one could be higher than that of a process started by `nice`."""
MAX_NICENESS: Final = 19


def lowered_niceness() -> int:
    """Return the niceness of what computes for this process."""
    return min(MAX_NICENESS, os.getpriority(os.PRIO_PROCESS, os.getpid()) + NICENESS)


def lower_thread_priority() -> None:
    """Lower the priority of this thread and of all threads it starts from now on; does nothing except on Linux."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some sandboxes forbid it, which is no reason not to serve
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), lowered_niceness())
