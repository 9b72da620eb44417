"""What computes gives way to what answers: health, metrics and refusals stay prompt on processors that are all busy.

Priorities hold among the threads of one container; how much it gets beside others is the control group's affair.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Final

NICENESS: Final = 5


def give_way() -> None:
    """Lower the priority of this thread and of all that it starts from now on; where threads have none, do nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # forbidden by some sandboxes, and no reason not to serve
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
