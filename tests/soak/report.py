"""The figures of a run as a table in the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from soak.faults import FAULTS

BEGIN = "<!-- soak: written by make soak -->"
END = "<!-- soak: end -->"


def table(found: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    done: Mapping[str, int] = found["done"]
    faults = {name: done.get(name, 0) for name in FAULTS}
    settled, memory, files = found["settled_after_s"], found["resident_mb"], found["open_files"]
    rows = {
        "changes of users": sum(done.values()) - sum(faults.values()),
        **faults,
        "rounds after which everything added up": found["rounds"],
        "until it did, s: median, longest": f"{settled['median']}, {settled['longest']}",
        "processes of the operator that were measured": found["operator_processes"],
        "their resident memory, MB: lowest, median, highest": _range(memory),
        "their open files: lowest, median, highest": _range(files),
    }
    head = f"{found['minutes']:.0f} minutes with the seed {found['seed']}."
    lines = [head, "", "| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines)


def _range(values: list[float]) -> str:
    return f"{min(values):g}, {median(values):g}, {max(values):g}"
