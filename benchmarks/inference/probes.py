"""Asks for health and metrics while clients keep the service busy: `python -m benchmarks.inference.probes URL SECONDS`.

A process of its own, as the kubelet and Prometheus are: the clients' event loop would add its own delays. Prints the
latencies in seconds, by path, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final

import httpx

PATHS: Final = ("/health", "/metrics")
PAUSE: Final = 0.02
"""Seconds between two questions."""


def main(url: str, seconds: float) -> None:
    """Ask in turns for that long."""
    seen: dict[str, list[float]] = {path: [] for path in PATHS}
    begun = time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get(PATHS[0]).raise_for_status()  # connected, as kept-alive connections are
        while time.perf_counter() - begun < seconds:
            for path, latencies in seen.items():
                sent = time.perf_counter()
                client.get(path).raise_for_status()
                latencies.append(time.perf_counter() - sent)
            time.sleep(PAUSE)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
