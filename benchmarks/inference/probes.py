"""Requests health and metrics from a busy service: `python -m benchmarks.inference.probes URL SECONDS`.

A separate process, like the kubelet and Prometheus: the clients' event loop would add delays. Prints the latencies in
seconds, by path, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final

import httpx

PATHS: Final = ("/health", "/metrics")
PAUSE: Final = 0.02
"""Seconds between two requests."""


def main(url: str, seconds: float) -> None:
    """Request both paths in turns for that long."""
    seen: dict[str, list[float]] = {path: [] for path in PATHS}
    begun = time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get(PATHS[0]).raise_for_status()  # connects, because only requests on open connections are measured
        while time.perf_counter() - begun < seconds:
            for path, latencies in seen.items():
                sent = time.perf_counter()
                client.get(path).raise_for_status()
                latencies.append(time.perf_counter() - sent)
            time.sleep(PAUSE)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
