"""The results, as JSON and as the table in the documentation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.clients import Seen
from benchmarks.machine import processor
from benchmarks.publishing import publish
from benchmarks.servers import Server

CLIENTS: Final = (1, 4, 16)
HALF_REJECTED: Final = f"throughput_img_s_http_{CLIENTS[-1]}_half_rejected"
PROBES: Final = ("health", "metrics")
BEGIN, END = "<!-- inference: written by make bench-inference -->", "<!-- inference: end -->"

Probed = dict[str, list[float]]
"""Latencies in seconds of health and metrics while the largest number of clients kept the service busy, by name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of one server."""

    seen: Mapping[int, Seen]
    """By number of clients."""
    half_rejected: Seen
    """With the largest number of clients, if the gate rejects half of the pictures."""
    ready_seconds: float
    rss_mb: float
    peak_mb: float

    def figures(self) -> dict[str, float]:
        """Return rounded values by name."""
        by_clients = {f"throughput_img_s_http_{clients}": self.seen[clients].throughput for clients in CLIENTS}
        figures = {
            "p50_ms_single": self.seen[1].percentile(50),
            "p95_ms_single": self.seen[1].percentile(95),
            **by_clients,
            HALF_REJECTED: self.half_rejected.throughput,
            "rss_mb": self.rss_mb,
            "peak_rss_mb": self.peak_mb,
            "ready_seconds": self.ready_seconds,
        }
        return {name: round(value, 2) for name, value in figures.items()}


def results(*, plain: Measured, ours: Measured, probed: Probed, first: Server, engine: str) -> dict[str, Any]:
    """Return all results; those of our service are on the top level."""
    ratios = {
        f"throughput_ratio_http_{clients}": round(ours.seen[clients].throughput / plain.seen[clients].throughput, 2)
        for clients in CLIENTS
    }
    ratios[HALF_REJECTED.replace("img_s", "ratio")] = round(
        ours.half_rejected.throughput / plain.half_rejected.throughput, 2
    )
    return {
        "engine": engine,
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        **ours.figures(),
        **ratios,
        **{f"{name}_p99_ms": round(float(np.percentile(seen, 99)) * 1000, 2) for name, seen in probed.items()},
        "first_ready_seconds": round(first.ready_seconds, 2),
        "first_peak_rss_mb": round(first.starting_mb, 2),
        "plain": plain.figures(),
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the table for the documentation."""
    rows = {
        "one client: latency p50, ms": "p50_ms_single",
        "one client: latency p95, ms": "p95_ms_single",
        **{
            f"{clients} client{'s'[: clients - 1]}: pictures/s": f"throughput_img_s_http_{clients}"
            for clients in CLIENTS
        },
        f"{CLIENTS[-1]} clients, the gate rejects half: pictures/s": HALF_REJECTED,
        "resident memory, MB": "rss_mb",
        "highest resident memory, MB": "peak_rss_mb",
        "time to ready, s": "ready_seconds",
    }
    lines = [f"| | plain eager | ours ({found['engine']}) | ours / plain |", "|---|---:|---:|---:|"]
    for title, name in rows.items():
        plain, ours = found["plain"][name], found[name]
        lines.append(f"| {title} | {plain:g} | {ours:g} | {ours / plain:.2f} |")
    probes = " and ".join(f"`/{name}` within {found[f'{name}_p99_ms']:g} ms" for name in PROBES)
    machine = (
        f"{found['cpus']} processors ({found['cpu']}), both servers on the same machine as the clients and asked in "
        f"turns; load average at the end {found['load_average_at_end']:g}."
    )
    busy = f"While {CLIENTS[-1]} clients keep it busy, ours answers {probes} in 99 of 100 cases."
    first = (
        "The first start with given weights, which converts them in a process of its own, takes "
        f"{found['first_ready_seconds']:g} s, and both processes together {found['first_peak_rss_mb']:g} MB at most."
    )
    return "\n".join([machine, "", *lines, "", busy, first])


def write(found: Mapping[str, Any], *, json_file: Path, document: Path) -> None:
    """Write the JSON file, the pictures and the table.

    Raises:
        ValueError: the document has no markers for the table.
    """
    publish(found, table(found), between=(BEGIN, END), json_file=json_file, document=document)
