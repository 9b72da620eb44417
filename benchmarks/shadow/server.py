"""Serves on one processor: `python -m benchmarks.shadow.server PROCESSOR [PORT]`; copies go to that port of loopback.

The settings come from the environment, as in a pod. A cluster's names do not exist here, so the candidate's Service is
replaced by a port.
"""

from __future__ import annotations

import os
import sys
from typing import Final

SERVICE: Final = "candidate.benchmark.svc"


def main(arguments: list[str]) -> int:
    """Serve until a signal."""
    # Before anything starts a thread or counts processors.
    os.sched_setaffinity(0, {int(arguments[0])})
    from support.on_loopback import OnLoopback  # noqa: PLC0415 - as above

    from cetacean_inference.http.serve import run  # noqa: PLC0415
    from cetacean_inference.settings import load_settings  # noqa: PLC0415
    from cetacean_inference.shadow.client import ShadowClient  # noqa: PLC0415

    settings = load_settings()
    client = None
    if len(arguments) > 1:
        transport = OnLoopback({SERVICE: int(arguments[1])})
        client = ShadowClient(timeout_seconds=settings.shadow.timeout_seconds, transport=transport)
    return run(settings, shadow_client=client)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
