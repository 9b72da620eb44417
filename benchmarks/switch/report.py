"""The results of all switches, and their table; pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.switch.timeline import PARTS

PROGRAMS: Final[Mapping[str, str]] = {
    "ours": "ours",
    "deployment": "plain Deployment",
    "argo": "Argo Rollouts",
}
SCENARIOS: Final[Mapping[str, str]] = {
    "cold": "cold cache",
    "shared": "shared cache",
    "prefetched": "prefetched",
}
FIGURES: Final[Mapping[str, str]] = {
    "first_answer_s": "**first answer of the new version**",
    "last_answer_of_old_s": "last answer of the old version",
    "rest_s": "all but fetch and load",
}


def medians(switches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the medians of the switches of one program in one scenario; failed requests are added up."""
    middle = {key: round(statistics.median(one[key] for one in switches), 2) for key in FIGURES}
    parts = {name: round(statistics.median(one["parts_s"][name] for one in switches), 2) for name in PARTS}
    counted = {key: sum(one[key] for one in switches) for key in ("answers", "failed")}
    return {"parts_s": parts, **middle, **counted}


def columns(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each scenario of each program that was measured, with its name."""
    for scenario, title in SCENARIOS.items():
        for program, name in PROGRAMS.items():
            if figures := found["scenarios"].get(scenario, {}).get(program):
                yield f"{title}, {name}", figures


def table(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    number = "One switch" if found["rounds"] == 1 else f"Medians of {found['rounds']} switches"
    given = list(columns(found))
    head = (
        f"{number} each on {found['processors']} processors ({found['processor']}), load average before "
        f"{found['load_average_before']:g}; weights of {found['weights_mb']} MB and a gate of {found['gate_mb']} MB; "
        f"a store that sends {found['store_mb_a_second']:g} MB a second."
    )
    lines = [
        head,
        "",
        "| seconds | " + " | ".join(name for name, _ in given) + " |",
        "|---|" + "---:|" * len(given),
    ]
    for name, title in PARTS.items():
        lines.append(_row(title, [f"{figures['parts_s'][name]:.2f}" for _, figures in given]))
    for key, title in FIGURES.items():
        lines.append(_row(title, [f"{figures[key]:.2f}" for _, figures in given]))
    lines.append(_row("answers, of them failed", [f"{one['answers']}, {one['failed']}" for _, one in given]))
    lines += ["", "![The parts of each switch, from active to the first answer](images/benchmark-switch.svg)"]
    return "\n".join(lines)


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | " + " | ".join(cells) + " |"
