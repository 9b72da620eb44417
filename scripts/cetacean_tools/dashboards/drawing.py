"""Pictures of dashboards where there is no Grafana: each panel in its place, drawn from what Prometheus answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cetacean_tools.dashboards.queries import Query, queries

Series = Mapping[str, Any]
"""One of Prometheus' series: `metric`, and `value` or `values`."""
Ask = Callable[[Query], Sequence[Series]]

# Colours that people with any colour vision tell apart (Okabe and Ito).
_COLORS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A8A8A", "#000000")
_STATES: Final = {0.0: "#56B4E9", 1.0: "#009E73", -1.0: "#E69F00"}
_UNITS: Final = {
    "percent": "%",
    "percentunit": "share",
    "ms": "ms",
    "s": "s",
    "reqps": "1/s",
    "bytes": "bytes",
    "short": "",
}
_CELL: Final = (0.68, 0.36)
"""Width and height of one of Grafana's grid cells, in inches."""


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    minutes: list[float]
    """Before the end."""
    values: list[float]


def draw(path: Path, dashboard: str, ask: Ask, *, end: float) -> None:
    """Write a picture of a whole dashboard.

    Args:
        path: the file; its suffix says which format.
        dashboard: its JSON.
        ask: answers a query; its series have `values` over time, or a `value` where the query is instant.
        end: seconds since the epoch at which the time shown ends.
    """
    content = json.loads(dashboard)
    panels = content["panels"]
    by_panel: dict[str, list[Query]] = {}
    for query in queries(dashboard):
        by_panel.setdefault(query.panel, []).append(query)
    marks = [
        mark
        for annotation in content["annotations"].get("list", [])
        for query in by_panel[annotation["name"]]
        for line in _lines(ask(query), query.legend, end)
        for mark in _beginnings(line.minutes)
    ]
    rows = max(panel["gridPos"].get("y", 0) + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(24 * _CELL[0], rows * _CELL[1]), dpi=90)
    figure.suptitle(content["title"], x=0.012, y=0.998, ha="left", va="top", fontsize=12, fontweight="bold")
    for panel in panels:
        axes = _place(figure, panel["gridPos"], rows)
        axes.set_title(panel["title"], loc="left", fontsize=9, fontweight="bold")
        axes.tick_params(labelsize=7)
        answers = [(query, ask(query)) for query in by_panel.get(panel["title"], [])]
        _KINDS[panel["type"]](axes, panel, answers, end)
        if panel["type"] == "timeseries":
            for mark in marks:
                axes.axvline(mark, color=_COLORS[4], linewidth=1, linestyle="-.")
    figure.savefig(path)


def _beginnings(minutes: Sequence[float]) -> list[float]:
    """The first of each run of moments that follow each other."""
    step = min((later - earlier for earlier, later in pairwise(minutes)), default=0.0)
    return [*minutes[:1], *(later for earlier, later in pairwise(minutes) if later - earlier > 1.5 * step)]


def _place(figure: Figure, place: Mapping[str, int], rows: int) -> Axes:
    left, top = place.get("x", 0) / 24, place.get("y", 0) / rows
    width, height = place["w"] / 24, place["h"] / rows
    # Room for titles, legends and ticks between the cells.
    pad_x, pad_top, pad_bottom = 0.042, 1.3 / rows, 1.1 / rows
    box = (left + pad_x, 1 - top - height + pad_bottom, width - 1.4 * pad_x, max(height - pad_top - pad_bottom, 0.002))
    return figure.add_axes(box)


def _legend(template: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], "")[:20], template)


def _lines(answer: Sequence[Series], template: str, end: float) -> list[_Line]:
    lines = []
    for series in answer:
        points = [(float(at), float(value)) for at, value in series["values"]]
        known = [((at - end) / 60, value) for at, value in points if not math.isnan(value)]
        if known:
            label = _legend(template, series["metric"])
            lines.append(_Line(label, [at for at, _ in known], [value for _, value in known]))
    return lines


def _draw_lines(
    axes: Axes, panel: Mapping[str, Any], answers: Sequence[tuple[Query, Sequence[Series]]], end: float
) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    lines = [line for query, answer in answers for line in _lines(answer, query.legend, end)]
    if defaults["custom"].get("stacking", {}).get("mode") == "normal":
        moments = sorted({at for line in lines for at in line.minutes})
        found = [dict(zip(line.minutes, line.values, strict=True)) for line in lines]
        heights = [[one.get(at, 0.0) for at in moments] for one in found]
        axes.stackplot(moments, heights, labels=[line.label for line in lines], colors=_COLORS, alpha=0.6)
    else:
        for line, color in zip(lines, _COLORS * 8, strict=False):
            dashed = line.label == "baseline"
            axes.plot(
                line.minutes, line.values, color=color, label=line.label, linewidth=1.4, ls="--" if dashed else "-"
            )
    steps = defaults.get("thresholds", {}).get("steps", [])
    bounds = [step["value"] for step in steps if step.get("value") is not None]
    for bound in bounds:
        axes.axhline(bound, color="#D55E00", linewidth=1, linestyle="--")
    highest = max([defaults.get("max") or 0.0, *axes.dataLim.intervaly, *bounds])
    # What lies at the very top is to be seen.
    axes.set_ylim(bottom=0, top=1.08 * highest if math.isfinite(highest) and highest > 0 else 1)
    axes.set_ylabel(_UNITS[defaults["unit"]], fontsize=7)
    axes.grid(alpha=0.25)
    if any(line.label for line in lines):
        axes.legend(fontsize=6, framealpha=0.7, loc="upper left", ncols=2)


def _draw_heatmap(
    axes: Axes, _panel: Mapping[str, Any], answers: Sequence[tuple[Query, Sequence[Series]]], end: float
) -> None:
    ((_, answer),) = answers
    if not answer:
        return
    bounds = sorted(answer, key=lambda series: float(series["metric"]["le"]))
    moments = sorted({float(at) for series in bounds for at, _ in series["values"]})
    table = [{float(at): float(value) for at, value in series["values"]} for series in bounds]
    # Buckets count what is below their bound: what is between two bounds is the difference.
    cells = [
        [max(row.get(at, 0.0) - (table[index - 1].get(at, 0.0) if index else 0.0), 0.0) for at in moments]
        for index, row in enumerate(table)
    ]
    extent = ((moments[0] - end) / 60, (moments[-1] - end) / 60, -0.5, len(cells) - 0.5)
    axes.imshow(cells, aspect="auto", origin="lower", cmap="Blues", extent=extent, interpolation="nearest")
    axes.set_yticks(range(len(bounds)), [series["metric"]["le"] for series in bounds])
    axes.set_ylabel("at most, s", fontsize=7)


def _draw_pie(
    axes: Axes, _panel: Mapping[str, Any], answers: Sequence[tuple[Query, Sequence[Series]]], _end: float
) -> None:
    counts = {series["metric"]["reason"]: float(series["value"][1]) for _, answer in answers for series in answer}
    shown = {reason: count for reason, count in counts.items() if count > 0}
    labels = [f"{reason}: {count:.0f}" for reason, count in shown.items()]
    if not shown:
        axes.axis("off")
        return
    axes.pie(
        list(shown.values()),
        labels=labels,
        colors=_COLORS,
        wedgeprops={"width": 0.4},
        textprops={"fontsize": 7},
    )


def _draw_number(
    axes: Axes, panel: Mapping[str, Any], answers: Sequence[tuple[Query, Sequence[Series]]], _end: float
) -> None:
    values = [series["value"][1] for _, answer in answers for series in answer]
    words = [mapping["options"] for mapping in panel["fieldConfig"]["defaults"].get("mappings", [])]
    text = words[0].get(values[0], {}).get("text", values[0]) if words and values else (values or ["none"])[0]
    axes.axis("off")
    axes.text(0.5, 0.4, text, ha="center", va="center", fontsize=20, color=_COLORS[2])


def _draw_table(
    axes: Axes, panel: Mapping[str, Any], answers: Sequence[tuple[Query, Sequence[Series]]], _end: float
) -> None:
    order = panel["transformations"][0]["options"]["indexByName"]
    columns = sorted(order, key=order.__getitem__)
    rows = [[series["metric"].get(name, "")[:14] for name in columns] for _, answer in answers for series in answer]
    axes.axis("off")
    if rows:
        table = axes.table(rows, colLabels=columns, loc="upper center", cellLoc="left", edges="horizontal")
        table.auto_set_font_size(False)
        table.set_fontsize(7)


def _draw_states(
    axes: Axes, _panel: Mapping[str, Any], answers: Sequence[tuple[Query, Sequence[Series]]], end: float
) -> None:
    lines = sorted(
        (line for query, answer in answers for line in _lines(answer, query.legend, end)), key=lambda line: line.label
    )
    # Room for long names.
    box = axes.get_position()
    axes.set_position((box.x0 + 0.04, box.y0, box.width - 0.04, box.height))
    for height, line in enumerate(lines):
        width = line.minutes[1] - line.minutes[0] if len(line.minutes) > 1 else 0.1
        colors = [_STATES[value] for value in line.values]
        axes.broken_barh([(at, width) for at in line.minutes], (height - 0.4, 0.8), facecolors=colors)
    axes.set_yticks(range(len(lines)), [line.label for line in lines])
    axes.set_xlabel("minutes; green True, blue False, yellow Unknown", fontsize=7)


def _draw_row(axes: Axes, *_: object) -> None:
    axes.axis("off")


_KINDS: Final[Mapping[str, Callable[..., None]]] = {
    "timeseries": _draw_lines,
    "heatmap": _draw_heatmap,
    "piechart": _draw_pie,
    "stat": _draw_number,
    "table": _draw_table,
    "state-timeline": _draw_states,
    "row": _draw_row,
}
