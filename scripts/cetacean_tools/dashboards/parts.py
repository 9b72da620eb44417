"""The parts that the panels of all dashboards have in common."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    piechart,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models import prometheus as p

Panel = TypeVar("Panel", heatmap.Panel, piechart.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
Words = Mapping[str, tuple[str, str]]
"""The text and colour shown for a value, by the value."""

SOURCE: Final = d.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
LATEST: Final = common.ReduceDataOptions().calcs(["lastNotNull"])


def board(title: str, uid: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard that asks the Prometheus that the reader chooses."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["cetacean", "mlops"])
        .readonly()
        .tooltip(d.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(
            dashboard.DashboardLink("Cetacean").type(d.DashboardLinkType.DASHBOARDS).tags(["cetacean"]).keep_time(True)
        )
    )


def query(
    expr: str, legend: str = "", *, instant: bool = False, form: p.PromQueryFormat | None = None
) -> prometheus.Dataquery:
    """A query over the dashboard's time, or at its end."""
    made = prometheus.Dataquery().expr(expr).legend_format(legend).editor_mode(p.QueryEditorMode.CODE)
    if form is not None:
        made = made.format(form)
    return made.instant() if instant else made.range()


def panel(
    empty: Panel, title: str, description: str, *queries: prometheus.Dataquery, span: int = 12, height: int = 8
) -> Panel:
    """Fill in the parts that a panel of any kind has.

    Args:
        empty: of the kind wanted.
        title: of the panel.
        description: the facts that a reader needs before acting on it.
        queries: they get the reference ids A, B and so on.
        span: width, of 24.
        height: in Grafana's units.
    """
    for letter, one in zip(ascii_uppercase, queries, strict=False):
        one.ref_id(letter)
    made = empty.title(title).description(description).datasource(SOURCE)
    return made.targets([*queries]).span(span).height(height)


def lines(title: str, description: str, unit: str, *queries: prometheus.Dataquery, span: int = 12) -> timeseries.Panel:
    """A graph over time that starts at zero; `unit` is Grafana's name of it."""
    made = panel(timeseries.Panel(), title, description, *queries, span=span).unit(unit)
    legend = common.VizLegendOptions().display_mode(c.LegendDisplayMode.LIST).placement(c.LegendPlacement.BOTTOM)
    made = made.min(0).fill_opacity(5).line_width(2).show_points(c.VisibilityMode.NEVER)
    return made.legend(legend.show_legend(True)).tooltip(common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI))


def states(
    title: str, description: str, shown: prometheus.Dataquery, words: Words, *, span: int = 12, height: int = 8
) -> statetimeline.Panel:
    """A bar over time for each series, with a colour for each value."""
    made = panel(statetimeline.Panel(), title, description, shown, span=span, height=height)
    return made.mappings(mappings(words)).merge_values(True).show_value(c.VisibilityMode.NEVER)


def number(title: str, description: str, expr: str) -> stat.Panel:
    """The latest value of one series, large."""
    made = panel(stat.Panel(), title, description, query(expr, instant=True), span=4, height=4)
    return made.unit("short").graph_mode(c.BigValueGraphMode.NONE).no_value("none").reduce_options(LATEST)


def mappings(words: Words) -> list[d.ValueMapping]:
    """Show words in place of values."""
    shown = {
        value: d.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(words.items())
    }
    return [d.ValueMap(options=shown)]


def limit(made: timeseries.Panel, bound: float, *, bad_below: bool = False) -> timeseries.Panel:
    """The same panel with a dashed line at the value above or below which an alert begins to count."""
    below, above = (RED, GREEN) if bad_below else (GREEN, RED)
    steps = [d.Threshold(value=None, color=below), d.Threshold(value=bound, color=above)]
    absolute = dashboard.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(steps)
    style = common.GraphThresholdsStyleConfig().mode(c.GraphThresholdsStyleMode.DASHED)
    return made.thresholds(absolute).thresholds_style(style)


def stacked(made: timeseries.Panel) -> timeseries.Panel:
    """The same panel with its series on top of each other."""
    return made.stacking(common.StackingConfig().mode(c.StackingMode.NORMAL)).fill_opacity(40)
