"""The inference service of one model: the playbook's six panels, and what a rollout does to them."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, heatmap, piechart, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models import heatmap as h
from grafana_foundation_sdk.models import piechart as pie
from grafana_foundation_sdk.models import prometheus as p

from cetacean_tools.dashboards import parts
from cetacean_tools.dashboards.parts import RED, SOURCE, line_style, lines, query, stacked

AVAILABILITY: Final = 95.0
"""Percent; below it the alert CetaceanServiceAvailability begins to count."""
SLOW_MS: Final = 2000.0
"""Milliseconds of the p95; above it CetaceanServiceLatency begins to count."""
ERRORS: Final = 0.01
"""Share of requests; above it CetaceanServiceErrors begins to count."""

# `service` is what a ServiceMonitor's targets carry: the Service that the operator gives the resource's name.
PODS: Final = 'namespace="$namespace",service="$model"'
RESOURCE: Final = 'namespace="$namespace",name="$model"'
SINGLE: Final = 'endpoint!="/v1/predict-batch",exported_endpoint!="/v1/predict-batch"'
"""Leaves out archives; a ServiceMonitor's targets have a label `endpoint` of their own, which renames the pods'."""
DURATION: Final = "cetacean_inference_request_duration_seconds"


def _with_variables(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """The namespace and the model that all queries are about."""
    # A series that pods have before they have loaded anything.
    present = "cetacean_inference_drift_samples"
    return board.with_variable(parts.variable("namespace", "Namespace", present, "namespace")).with_variable(
        parts.variable("model", "Model", f'{present}{{namespace="$namespace"}}', "service")
    )


def build() -> dashboard.Dashboard:
    """Build it anew."""
    board = parts.board(
        "Cetacean / Inference service",
        "cetacean-inference",
        "One model: availability, throughput, latency, rejections, drift, errors, and what its pods serve.",
    )
    board = _with_variables(board).annotation(Promotions())
    for panel in (_availability(), _throughput(), _latency(), _durations(), _rejections(), _drift(), _errors()):
        board = board.with_panel(panel)
    board = board.with_row(dashboard.Row("Rollout"))
    return board.with_panel(_served()).with_panel(_pods()).with_panel(_conditions())


def _availability() -> timeseries.Panel:
    panel = lines(
        "Availability",
        "Share of each pod's last 1000 requests that were not answered with 5xx, over seven days.",
        "percent",
        query(f"avg(availability_percent{{{PODS}}})", "mean of the pods"),
        query(f"min(availability_percent{{{PODS}}})", "worst pod"),
    )
    return parts.limit(panel, bad_below=AVAILABILITY).time_from("7d").max(100)


def _throughput() -> timeseries.Panel:
    return stacked(
        lines(
            "Throughput",
            "Pictures a second: identified, and rejected for any reason.",
            "short",
            query(f"sum(rate(predictions_total{{{PODS}}}[5m]))", "predictions"),
            query(f"sum(rate(rejections_total{{{PODS}}}[5m]))", "rejections"),
        )
    )


def _latency() -> timeseries.Panel:
    def quantile(of: float) -> str:
        return f"1000 * histogram_quantile({of}, sum by (le) (rate({DURATION}_bucket{{{PODS},{SINGLE}}}[5m])))"

    panel = lines(
        "Latency",
        "Average over each pod's last 1000 requests, and quantiles of the single pictures of the last five minutes.",
        "ms",
        query(f"avg(latency_avg_ms{{{PODS}}})", "average"),
        query(quantile(0.5), "p50"),
        query(quantile(0.95), "p95"),
        query(quantile(0.99), "p99"),
    )
    return parts.limit(panel, bad_above=SLOW_MS)


def _durations() -> heatmap.Panel:
    panel = heatmap.Panel().title("Request durations").datasource(SOURCE).span(12).height(8)
    panel = panel.description("How many requests took how long.")
    panel = panel.y_axis(heatmap.YAxisConfig().unit("s")).hide_legend().calculate(False)
    panel = panel.color(heatmap.HeatmapColorOptions().mode(h.HeatmapColorMode.SCHEME).scheme("Blues"))
    increase = f"sum by (le) (increase({DURATION}_bucket{{{PODS}}}[$__rate_interval]))"
    return panel.targets([*parts.lettered([query(increase, "{{le}}", form=p.PromQueryFormat.HEATMAP)])])


def _rejections() -> piechart.Panel:
    panel = piechart.Panel().title("Rejections by reason").datasource(SOURCE).span(8).height(8)
    panel = panel.description("Over the time shown. Mostly not_a_marine_mammal: see the runbook, systemic rejections.")
    panel = panel.pie_type(pie.PieChartType.DONUT).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    legend = piechart.PieChartLegendOptions().placement(c.LegendPlacement.RIGHT).show_legend(True)
    panel = panel.legend(legend.values([pie.PieChartLegendValues.VALUE, pie.PieChartLegendValues.PERCENT]))
    # A gauge by type, and only ever growing.
    counted = f"sum by (reason) (increase(rejections_by_reason{{{PODS}}}[$__range]))"
    return panel.targets([*parts.lettered([query(counted, "{{reason}}", instant=True)])]).unit("short").decimals(0)


def _drift() -> timeseries.Panel:
    # A pod without samples has no mean: it must not make that of the others unknown.
    samples = f"(cetacean_inference_drift_samples{{{PODS}}} > 0)"
    pooled = f"sum(cetacean_score_avg{{{PODS}}} * {samples}) / sum({samples})"
    panel = lines(
        "Drift",
        "Mean cetacean score over the drift window, and the mean that the model's evaluation lets expect.",
        "percentunit",
        query(pooled, "cetacean_score_avg, all pods"),
        query(f"cetacean_score_avg{{{PODS}}}", "{{pod}}"),
        query(f"max(cetacean_inference_drift_baseline{{{PODS}}})", "baseline"),
        span=8,
    )
    return line_style(panel, "C", RED, dashed=True).max(1)


def _errors() -> timeseries.Panel:
    requests = f"sum(rate(requests_total{{{PODS}}}[5m]))"
    panel = lines(
        "Errors",
        "Answers with 5xx a second, and their share of all answers; the line is where the alert begins.",
        "percentunit",
        query(f"sum(rate(errors_total{{{PODS}}}[5m]))", "errors a second"),
        query(f"sum(rate(errors_total{{{PODS}}}[5m])) / ({requests} > 0)", "share of requests"),
        span=8,
    )
    per_second = [
        d.DynamicConfigValue(id_val="unit", value="reqps"),
        d.DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
    ]
    return parts.limit(panel, bad_above=ERRORS).override_by_query("A", per_second)


def _served() -> timeseries.Panel:
    return stacked(
        lines(
            "Pods by model served",
            "Which weights the pods say they have loaded; promotions and rollbacks are marked.",
            "short",
            query(
                f"count by (name, version, sha256) (cetacean_inference_model_info{{{PODS}}})",
                "{{name}} {{version}} {{sha256}}",
            ),
        )
    ).decimals(0)


def _pods() -> table.Panel:
    panel = table.Panel().title("What each pod serves").datasource(SOURCE).span(12).height(8)
    panel = panel.description(
        "As the pod itself says: model, version, digest of the weights, engine, gate's threshold."
    )
    shown = ("pod", "name", "version", "sha256", "engine", "threshold")
    hidden = ("Time", "Value", "__name__", "container", "endpoint", "instance", "job", "namespace", "service")
    order = d.DataTransformerConfig(
        id_val="organize",
        options={
            "excludeByName": dict.fromkeys(hidden, True),
            "indexByName": {name: index for index, name in enumerate(shown)},
        },
    )
    info = query(f"cetacean_inference_model_info{{{PODS}}}", instant=True, form=p.PromQueryFormat.TABLE)
    return panel.targets([*parts.lettered([info])]).with_transformation(order)


def _conditions() -> statetimeline.Panel:
    return parts.states(
        "Conditions of the resource",
        "As the operator sees the model; `kubectl describe cetaceanmodel` has the reasons.",
        query(f"max by (type) (cetacean_model_condition{{{RESOURCE}}})", "{{type}}"),
        {"0": ("False", parts.BLUE), "1": ("True", parts.GREEN), "-1": ("Unknown", parts.YELLOW)},
        span=24,
        height=9,
    )


class _Marked(d.AnnotationQuery):
    """With the fields that Prometheus' annotations have and the library does not know."""

    def to_json(self) -> dict[str, object]:
        labels = {"titleFormat": "{{model}} {{version}}", "tagKeys": "model,version", "step": "30s"}
        return {**super().to_json(), **labels}


class Promotions(dashboard.AnnotationQuery):
    """A mark wherever pods begin to serve another model."""

    def __init__(self) -> None:
        """Take the operator's word for it."""
        now = f"count by (model, version) (cetacean_model_serving_info{{{RESOURCE}}}"
        self._internal = _Marked(
            name="Promotions and rollbacks",
            datasource=SOURCE,
            icon_color=parts.BLUE,
            expr=f"{now}) unless {now} offset 1m)",
        )
