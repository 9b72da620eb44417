"""What the panels of all dashboards have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models import prometheus as p

SOURCE: Final = d.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
TAGS: Final = ["cetacean", "mlops"]


def board(title: str, uid: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard that asks the Prometheus that the reader chooses."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(TAGS)
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


def variable(name: str, label: str, series: str, of: str) -> dashboard.QueryVariable:
    """A choice among the values that label `of` has in `series`."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(f"label_values({series}, {of})")
        .refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(d.VariableSort.ALPHABETICAL_ASC)
    )


def query(
    expr: str, legend: str = "", *, instant: bool = False, form: p.PromQueryFormat | None = None
) -> prometheus.Dataquery:
    """A query over the dashboard's time, or at its end."""
    made = prometheus.Dataquery().expr(expr).legend_format(legend).editor_mode(p.QueryEditorMode.CODE)
    if form is not None:
        made = made.format(form)
    return made.instant() if instant else made.range()


def lettered(queries: Sequence[prometheus.Dataquery]) -> list[prometheus.Dataquery]:
    """The queries with the reference ids A, B and so on."""
    return [one.ref_id(chr(ord("A") + index)) for index, one in enumerate(queries)]


def lines(title: str, description: str, unit: str, *queries: prometheus.Dataquery, span: int = 12) -> timeseries.Panel:
    """A graph over time that starts at zero.

    Args:
        title: of the panel.
        description: what a reader should know before acting on it.
        unit: Grafana's name of the unit.
        queries: one or more.
        span: width, of 24.
    """
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    panel = panel.span(span).height(8).min(0).fill_opacity(5).line_width(2).show_points(c.VisibilityMode.NEVER)
    legend = common.VizLegendOptions().display_mode(c.LegendDisplayMode.LIST).placement(c.LegendPlacement.BOTTOM)
    panel = panel.legend(legend.show_legend(True))
    panel = panel.tooltip(common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI))
    return panel.targets([*lettered(queries)])


def states(
    title: str,
    description: str,
    asked: prometheus.Dataquery,
    words: Mapping[str, tuple[str, str]],
    *,
    span: int = 12,
    height: int = 8,
) -> statetimeline.Panel:
    """What holds when, a bar for each series.

    Args:
        title: of the panel.
        description: what a reader should know before acting on it.
        asked: the query.
        words: what a value is called and its colour, by the value.
        span: width, of 24.
        height: in Grafana's units.
    """
    mapped = {
        value: d.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(words.items())
    }
    panel = statetimeline.Panel().title(title).description(description).datasource(SOURCE).span(span).height(height)
    panel = panel.mappings([d.ValueMap(options=mapped)]).merge_values(True).show_value(c.VisibilityMode.NEVER)
    return panel.targets([*lettered([asked])])


def limit(
    panel: timeseries.Panel, *, bad_above: float | None = None, bad_below: float | None = None
) -> timeseries.Panel:
    """The same panel with a dashed line where an alert begins."""
    if bad_above is not None:
        steps = [d.Threshold(value=None, color=GREEN), d.Threshold(value=bad_above, color=RED)]
    else:
        steps = [d.Threshold(value=None, color=RED), d.Threshold(value=bad_below, color=GREEN)]
    absolute = dashboard.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(steps)
    style = common.GraphThresholdsStyleConfig().mode(c.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(absolute).thresholds_style(style)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """The same panel with its series on top of each other."""
    return panel.stacking(common.StackingConfig().mode(c.StackingMode.NORMAL)).fill_opacity(40)


def line_style(panel: timeseries.Panel, ref_id: str, color: str, *, dashed: bool = False) -> timeseries.Panel:
    """The same panel with one query's lines in a colour of their own."""
    properties = [d.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})]
    if dashed:
        style = {"fill": "dash", "dash": [10, 10]}
        properties.append(d.DynamicConfigValue(id_val="custom.lineStyle", value=style))
    return panel.override_by_query(ref_id, properties)


def number(
    title: str, description: str, unit: str, expr: str, *, good: str = "", bad: str = "", span: int = 4
) -> stat.Panel:
    """The latest value, large.

    Args:
        title: of the panel.
        description: what it counts.
        unit: Grafana's name of the unit.
        expr: one series.
        good: what 1 is called, with `bad`: the panel then shows words.
        bad: what 0 is called.
        span: width, of 24.
    """
    panel = stat.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    panel = panel.span(span).height(4).graph_mode(c.BigValueGraphMode.NONE).no_value("none")
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if good:
        words = {
            "0": d.ValueMappingResult(text=bad, color=RED, index=0),
            "1": d.ValueMappingResult(text=good, color=GREEN, index=1),
        }
        panel = panel.mappings([d.ValueMap(options=words)])
    return panel.targets([*lettered([query(expr, instant=True)])])
