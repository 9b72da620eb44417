"""The figures of the benchmark of shadows, and their table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.clients import Seen
from benchmarks.machine import processor

SHARES: Final = (0.0, 0.25, 1.0)
BEGIN, END = "<!-- shadow: written by make bench-shadow -->", "<!-- shadow: end -->"


@dataclass(slots=True)
class Turns:
    """Measurements of several turns with one share."""

    seen: Seen = field(default_factory=Seen)
    processor_seconds: float = 0.0
    """Of the process that serves."""
    sampled: int = 0
    compared: int = 0
    dropped: int = 0
    """Copies that found no room; the turn's end leaves some waiting, which are neither."""
    failed: int = 0

    def figures(self) -> dict[str, float]:
        """Return rounded values by name."""
        answers = len(self.seen.latencies)
        return {
            "pictures_s": round(self.seen.throughput, 2),
            "p50_ms": round(self.seen.percentile(50), 1),
            "p95_ms": round(self.seen.percentile(95), 1),
            "processor_ms": round(1000 * self.processor_seconds / answers, 2),
            "answered": answers,
            "sampled": self.sampled,
            "compared": self.compared,
            "dropped": self.dropped,
            "failed": self.failed,
        }


def results(turns: Mapping[float, Turns], *, clients: int, rounds: int, load_before: float) -> dict[str, Any]:
    """Return the figures for the JSON file."""
    return {
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "clients": clients,
        "rounds": rounds,
        "load_average_before": round(load_before, 1),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "shares": {f"{share:g}": one.figures() for share, one in turns.items()},
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table."""
    rows = {
        "pictures/s": "pictures_s",
        "latency p50, ms": "p50_ms",
        "latency p95, ms": "p95_ms",
        "processor time of the serving process for a picture, ms": "processor_ms",
        "pictures answered": "answered",
        "copies chosen": "sampled",
        "copies compared": "compared",
        "copies dropped": "dropped",
        "copies without an answer": "failed",
    }
    shares = found["shares"]
    machine = (
        f"{found['cpus']} processors ({found['cpu']}); {found['clients']} clients; load average before "
        f"{found['load_average_before']:g}, at the end {found['load_average_at_end']:g}."
    )
    lines = [
        machine,
        "",
        f"| share of pictures copied | {' | '.join(shares)} |",
        f"|---|{'---:|' * len(shares)}",
        *(
            f"| {title} | {' | '.join(f'{figures[name]:g}' for figures in shares.values())} |"
            for title, name in rows.items()
        ),
    ]
    return "\n".join(lines)
