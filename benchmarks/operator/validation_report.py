"""The cost of writes to the API server as JSON and as the table in the documentation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from benchmarks.machine import processor
from benchmarks.publishing import publish_benchmark

BEGIN, END = "<!-- validation: written by make bench-validation -->", "<!-- validation: end -->"
DEFINITIONS: Final = ("ours", "without rules", "without a schema")
OBJECTS: Final = ("small", "full")
"""The benchmark's resource, and that of `examples/full.yaml`."""
WRITES: Final = ("change of spec", "apply of status", "update of status")


def results(
    measured: Mapping[tuple[str, str, str], tuple[float, Sequence[float]]], *, load_before: float
) -> dict[str, Any]:
    """Return the figures of each object, definition and kind of write, which have CPU seconds and latencies."""
    objects: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (obj, definition, write), (cpu, latencies) in measured.items():
        objects.setdefault(obj, {}).setdefault(write, {})[definition] = {
            "cpu_ms": round(cpu / len(latencies) * 1000, 2),
            "p50_ms": round(float(np.percentile(latencies, 50)) * 1000, 2),
        }
    return {
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_average_before": round(load_before, 1),
        "requests_of_each": min(len(latencies) for _, latencies in measured.values()),
        "objects": objects,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the documentation's table."""
    machine = (
        f"{found['cpus']} processors ({found['cpu']}); {found['requests_of_each']} requests of each kind; load average "
        f"before {found['load_average_before']:g}."
    )
    lines = [
        machine,
        "",
        f"| CPU of the API server for each write, ms | {' | '.join(DEFINITIONS)} | rules | schema |",
        "|---|" + "---:|" * (len(DEFINITIONS) + 2),
    ]
    for obj, writes in found["objects"].items():
        for write, by_definition in writes.items():
            ours, bare, free = (by_definition[name]["cpu_ms"] for name in DEFINITIONS)
            shares = (f"{(ours - bare) / ours:.0%}", f"{(bare - free) / ours:.0%}")
            cells = (f"{value:g}" for value in (ours, bare, free))
            lines.append(f"| {obj}: {write} | {' | '.join((*cells, *shares))} |")
    return "\n".join(lines)


def publish_results(found: Mapping[str, Any]) -> None:
    """Write the figures.

    Raises:
        ValueError: the document has no place for the table.
    """
    publish_benchmark("validation", found, table(found), between=(BEGIN, END))
