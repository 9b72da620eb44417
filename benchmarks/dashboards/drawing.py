"""Plain pictures of dashboards for the documentation: a grid of panels with Prometheus' values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cetacean_tools.dashboards.queries import Query, queries

Series = Mapping[str, Any]
"""One of Prometheus' series: `metric`, and `value` or `values`."""
Ask = Callable[[Query], Sequence[Series]]

_COLUMNS: Final = 3
_PANEL: Final = (4.6, 2.4)  # width and height, in inches
_NO_LEGEND: Final = "{{pod}} {{name}} {{version}}"  # the labels shown of a query without a legend


def draw(path: Path, dashboard: str, ask: Ask, *, end: float) -> None:
    """Write a picture of a whole dashboard.

    Args:
        path: the file; its suffix selects the format.
        dashboard: its JSON.
        ask: returns a query's series, with `values` over time, or with a `value` if the query is instant.
        end: seconds since the epoch at which the time shown ends.
    """
    panels: dict[str, list[Query]] = {}
    for query in queries(dashboard):
        panels.setdefault(query.panel, []).append(query)
    rows = math.ceil(len(panels) / _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _PANEL[0], rows * _PANEL[1]), dpi=80, layout="constrained")
    figure.suptitle(json.loads(dashboard)["title"], fontweight="bold")
    for (title, asked), axes in zip(panels.items(), figure.subplots(rows, _COLUMNS).flat, strict=False):
        axes.set_title(title, loc="left", fontsize=9)
        lines = [(_label(query, series), series) for query in asked for series in ask(query)]
        if lines and not asked[0].instant:
            _plot(axes, lines, end)
            axes.set_ylabel(asked[0].unit, fontsize=7)
        else:
            texts = [f"{label} {float(series['value'][1]):.4g}" for label, series in lines]
            axes.text(0, 0.95, "\n".join(texts) or "No data", va="top", fontsize=9)  # as Grafana says it
    for axes in figure.axes:
        axes.tick_params(labelsize=7)
        if not axes.lines:
            axes.set_axis_off()
    figure.savefig(path)


def _plot(axes: Axes, lines: Sequence[tuple[str, Series]], end: float) -> None:
    for label, series in lines:
        minutes = [(float(at) - end) / 60 for at, _ in series["values"]]
        axes.plot(minutes, [float(value) for _, value in series["values"]], label=label, linewidth=1.2)
    if any(label for label, _ in lines):
        axes.legend(fontsize=6, loc="upper left", ncols=2)


def _label(query: Query, series: Series) -> str:
    labels: Mapping[str, str] = series["metric"]
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], "")[:20], query.legend or _NO_LEGEND).strip()
