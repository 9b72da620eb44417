"""The results, as JSON and as the table in the documentation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from benchmarks.clients import Seen
from benchmarks.machine import processor
from benchmarks.serving.switching import Switch

CLIENTS: Final = (1, 4, 16)
OURS: Final = "ours"
BEGIN, END = "<!-- serving: written by make bench-serving -->", "<!-- serving: end -->"
MORE_IS_BETTER: Final = frozenset(f"pictures_s_{clients}" for clients in CLIENTS)
ROWS: Final[Mapping[str, str]] = {
    **{f"pictures_s_{clients}": f"{clients} client{'s'[: clients - 1]}: pictures/s" for clients in CLIENTS},
    **{
        f"p{share}_ms_{clients}": f"{clients} client{'s'[: clients - 1]}: latency p{share}, ms"
        for clients in CLIENTS
        for share in (50, 95)
    },
    "memory_mb": "memory, MB",
    "ready_seconds": "time to the first answer, s",
    "switch_failed": "switch: requests that fail",
    "switch_longest_ms": "switch: longest latency, ms",
    "switch_seconds": "switch: time to the first answer of the new version, s",
}


@dataclass(slots=True)
class Measured:
    """Measurements of one server over all rounds."""

    seen: dict[int, Seen] = field(default_factory=lambda: {clients: Seen() for clients in CLIENTS})
    """By number of clients."""
    memory_mb: list[float] = field(default_factory=list)
    """After each turn."""
    ready_seconds: list[float] = field(default_factory=list)
    """Of each start."""
    switches: list[Switch] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return rounded values by name."""
        latencies = [1000 * latency for one in self.switches for latency in one.latencies]
        figures: dict[str, float] = {}
        for clients, seen in self.seen.items():
            figures[f"pictures_s_{clients}"] = round(seen.throughput, 2)
            figures[f"p50_ms_{clients}"] = round(seen.percentile(50), 1)
            figures[f"p95_ms_{clients}"] = round(seen.percentile(95), 1)
        figures["memory_mb"] = round(max(self.memory_mb))
        figures["ready_seconds"] = round(float(np.median(self.ready_seconds)), 2)
        figures["switch_failed"] = sum(len(one.failed) for one in self.switches)
        figures["switch_answered"] = len(latencies)
        figures["switch_longest_ms"] = round(max(latencies))
        figures["switch_seconds"] = round(float(np.median([one.seconds for one in self.switches])), 2)
        return figures


def results(
    measured: Mapping[str, Measured], *, engines: Mapping[str, str], rounds: int, load_before: float
) -> dict[str, Any]:
    """Return all results.

    Args:
        measured: by server.
        engines: by server: what computes its networks.
        rounds: starts and switches of each server.
        load_before: load average before the first round.
    """
    return {
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "rounds": rounds,
        "load_average_before": round(load_before, 1),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "engines": dict(engines),
        "servers": {name: one.figures() for name, one in measured.items()},
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the table for the documentation; the best value of a row is bold."""
    servers = found["servers"]
    peers = [name for name in servers if name != OURS]
    machine = (
        f"{found['cpus']} processors ({found['cpu']}) for each server and its clients; rounds: {found['rounds']}; load "
        f"average before {found['load_average_before']:g}, at the end {found['load_average_at_end']:g}."
    )
    lines = [
        machine,
        "",
        f"| | {' | '.join(servers)} | ours / best of the others |",
        f"|---|{'---:|' * (len(servers) + 1)}",
    ]
    for name, title in ROWS.items():
        choose = max if name in MORE_IS_BETTER else min
        best = choose(figures[name] for figures in servers.values())
        cells = [_cell(figures[name], best=best) for figures in servers.values()]
        ratio = _ratio(servers[OURS][name], choose(servers[peer][name] for peer in peers))
        lines.append(f"| {title} | {' | '.join(cells)} | {ratio} |")
    answered = [f"{name} {figures['switch_answered']:g}" for name, figures in servers.items()]
    behind = behind_rows(found)
    summary = f"Ours is behind in: {'; '.join(behind)}." if behind else "Ours is behind in no row."
    return "\n".join([*lines, "", f"Requests answered during the switches: {', '.join(answered)}. {summary}"])


def behind_rows(found: Mapping[str, Any]) -> Sequence[str]:
    """Return the titles of the rows in which another server has a better value than ours."""
    servers = found["servers"]
    behind = []
    for name, title in ROWS.items():
        choose = max if name in MORE_IS_BETTER else min
        if choose(figures[name] for figures in servers.values()) != servers[OURS][name]:
            behind.append(title)
    return behind


def _cell(value: float, *, best: float) -> str:
    return f"**{_number(value)}**" if value == best else _number(value)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:g}"


def _ratio(ours: float, other: float) -> str:
    return f"{ours / other:.2f}" if other else "-"
