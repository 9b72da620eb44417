"""The measurements as JSON and as the tables in the documentation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.machine import processor
from benchmarks.operator.measure import Burst, Measured
from benchmarks.publishing import publish

BEGIN, END = "<!-- operator: written by make bench-operator -->", "<!-- operator: end -->"
NAMES: Final = {
    "floor": "Deployment controller",
    "argo": "Argo Rollouts",
    "argo_unlimited": "Argo, limits lifted",
    "ours": "ours",
}
_ROWS: Final = {
    "create all, s": "create_seconds",
    "switch all, s": "switch_seconds",
    "one change p50, ms": "single_switch_p50_ms",
    "one change p95, ms": "single_switch_p95_ms",
    "one change p99, ms": "single_switch_p99_ms",
    "API requests for each created": "create_requests",
    "API requests for each switched": "switch_requests",
    "API requests for each reconcile": "requests_per_reconcile",
    "CPU to create all, s": "create_cpu_seconds",
    "CPU to switch all, s": "switch_cpu_seconds",
    "CPU when idle, % of one processor": "idle_cpu_percent",
    "resident memory after creating, MB": "rss_created_mb",
    "resident memory after switching, MB": "rss_switched_mb",
    "resident memory at the end, MB": "rss_mb",
    "highest resident memory, MB": "peak_rss_mb",
}


def figures(measured: Measured) -> dict[str, float]:
    """Return rounded figures by name; a program without a process of its own has neither memory nor CPU time."""
    switches = measured.switches
    found = {
        "create_seconds": measured.create.seconds,
        "switch_seconds": _median([burst.seconds for burst in switches]),
        "create_requests": _requests(measured.create, measured.size),
        "switch_requests": _median([_requests(burst, measured.size) for burst in switches]),
    }
    if measured.singles:
        for share in (50, 95, 99):
            found[f"single_switch_p{share}_ms"] = float(np.percentile(measured.singles, share)) * 1000
    if (memory := measured.memory) is not None:
        bursts = [measured.create, *switches]
        reconciles = sum(burst.reconciles for burst in bursts)
        found |= {
            "requests_per_reconcile": sum(burst.requests.total() for burst in bursts) / max(reconciles, 1.0),
            "create_cpu_seconds": measured.create.cpu_seconds,
            "switch_cpu_seconds": _median([burst.cpu_seconds for burst in switches]),
            "idle_cpu_percent": measured.idle_cpu * 100,
            "rss_created_mb": memory.created,
            "rss_switched_mb": memory.switched,
            "rss_mb": memory.end,
            "peak_rss_mb": memory.peak,
        }
    return {name: round(value, 2) for name, value in found.items()}


def results(measured: Mapping[str, Mapping[int, Measured]]) -> dict[str, Any]:
    """Return all figures by contestant and size; the compared ones come first, each with its size."""
    by_size = {name: {str(size): figures(one) for size, one in sizes.items()} for name, sizes in measured.items()}
    requests = {
        name: {str(size): dict(sorted(one.switches[0].requests.items())) for size, one in sizes.items()}
        for name, sizes in measured.items()
    }
    found: dict[str, Any] = {
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_average_at_end": round(os.getloadavg()[0], 1),
    }
    ours, argo = by_size["ours"], by_size.get("argo", {})
    for size, one in ours.items():
        if other := argo.get(size):
            for what in ("create", "switch"):
                found[f"{what}_ratio_vs_argo_{size}"] = round(one[f"{what}_seconds"] / other[f"{what}_seconds"], 3)
        found[f"rss_mb_{size}"] = one["rss_mb"]
        found[f"single_switch_p95_ms_{size}"] = one.get("single_switch_p95_ms")
    found["single_switch_p95_ms"] = ours[max(ours, key=int)].get("single_switch_p95_ms")
    return {**found, **by_size, "requests_of_a_switch": requests}


def table(found: Mapping[str, Any]) -> str:
    """The documentation's tables, one for each size."""
    sizes = set(found["ours"])
    others = [name for name, by_size in found.items() if isinstance(by_size, dict) and sizes & by_size.keys()]
    names = [name for name in (*NAMES, *(other for other in others if other not in NAMES)) if name in found]
    names = [name for name in names if name != "requests_of_a_switch"]
    machine = (
        f"{found['cpus']} processors ({found['cpu']}) for the control plane, the programs and the client together; "
        f"load average at the end {found['load_average_at_end']:g}."
    )
    parts = [machine]
    for size in sorted(found["ours"], key=int):
        there = [name for name in names if size in found[name]]
        lines = [
            f"| {size} resources | {' | '.join(NAMES.get(name, name) for name in there)} | ours / Argo |",
            "|---|" + "---:|" * (len(there) + 1),
        ]
        for title, key in _ROWS.items():
            values = {name: found[name][size].get(key) for name in there}
            if values["ours"] is None:
                continue
            cells = [_cell(values[name]) for name in there] + [_ratio(values["ours"], values.get("argo"))]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        parts += ["", *lines]
    return "\n".join(parts)


def write(found: Mapping[str, Any], *, json_file: Path, document: Path) -> None:
    """Write the figures.

    Raises:
        ValueError: the document has no place for the tables.
    """
    publish(found, table(found), between=(BEGIN, END), json_file=json_file, document=document)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _requests(burst: Burst, size: int) -> float:
    return burst.requests.total() / size


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _ratio(ours: float, argo: float | None) -> str:
    return f"{ours / argo:.2f}" if argo else "-"
