"""The inference service of one model: the playbook's six panels, and the panels that show a rollout."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, heatmap, piechart, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models import heatmap as h
from grafana_foundation_sdk.models import piechart as pie
from grafana_foundation_sdk.models import prometheus as p

from cetacean_tools.dashboards import parts
from cetacean_tools.dashboards.parts import SOURCE, lines, panel, query, stacked

AVAILABILITY: Final = 95.0  # percent; below it the alert CetaceanServiceAvailability begins to count
SLOW_MS: Final = 2000.0  # milliseconds of the p95; above it CetaceanServiceLatency begins to count
ERRORS: Final = 0.01  # share of requests; above it CetaceanServiceErrors begins to count

# `service` is what a ServiceMonitor's targets carry: the Service that the operator gives the resource's name.
PODS: Final = 'namespace="$namespace",service="$model"'
RESOURCE: Final = 'namespace="$namespace",name="$model"'
SINGLE: Final = 'endpoint!="/v1/predict-batch",exported_endpoint!="/v1/predict-batch",status="200"'
"""Leaves out archives, and refused requests, which take no time.

A ServiceMonitor's targets have a label `endpoint` of their own, which renames the pods'.
"""
SIGNALS: Final = {  # by title; `raised` is 1 while the signal is, and -1 if nothing is known
    "Top probability": ("TopProbability", "How far its mean lies below that of the evaluation set, and the bound."),
    "Low confidence": ("LowConfidence", "How much more is rejected as low_confidence, and the bound."),
    "Distribution": ("Distribution", "The larger distance of both scores' histograms, and the bound."),
    "Species": ("BySpecies", "The change of a species' share, or the drop for the same species, and the bound."),
}
SHARE: Final = " / ".join(
    f"(sum(increase(cetacean_inference_shadow_{{0}}_total{{{{{PODS},{{{number}}}}}}}[1h])){more})"
    for number, more in ((1, ""), (2, " > 0"))
)
CANDIDATE: Final = {  # by legend: what is counted, as a share of what
    "same acceptance": ("pairs", 'other="candidate",agree="accepted"', 'other="candidate",agree="all"'),
    "same species": ("pairs", 'other="candidate",agree="species"', 'other="candidate",agree="both_accepted"'),
    "same individual": ("pairs", 'other="candidate",agree="individual"', 'other="candidate",agree="both_accepted"'),
    "failed": ("pictures", 'outcome!~"compared|dropped|busy|repeated"', 'outcome!=""'),
    "dropped": ("pictures", 'outcome=~"dropped|busy"', 'outcome!=""'),
    "time": ("compute_seconds", 'model="candidate"', 'model="served"'),
}
DURATION: Final = "cetacean_inference_request_duration_seconds"


def build() -> dashboard.Dashboard:
    """Build a new one."""
    board = parts.board(
        "Cetacean / Inference service",
        "cetacean-inference",
        "One model: availability, throughput, latency, rejections, drift, errors, and what its pods serve.",
    )
    # A series that pods have before they have loaded anything.
    present = "cetacean_inference_drift_samples"
    board = board.with_variable(_variable("namespace", "Namespace", f"label_values({present}, namespace)"))
    models = f'label_values({present}{{namespace="$namespace"}}, service)'
    board = board.with_variable(_variable("model", "Model", models)).annotation(Promotions())
    for one in (_availability(), _throughput(), _latency(), _durations(), _rejections(), _drift(), _errors()):
        board = board.with_panel(one)
    board = board.with_row(dashboard.Row("Signals of drift"))
    for title, (signal, text) in SIGNALS.items():
        shown = f'cetacean_model_drift_signal{{{RESOURCE},signal="{signal}",figure!="samples"}}'
        board = board.with_panel(lines(title, text, "short", query(shown, "{{figure}}"), span=6))
    shown = f'cetacean_model_feedback{{{RESOURCE},about="species",figure=~"accuracy|low|high"}}'
    text = "Share of right species in the answers that clients gave feedback on, and the ends of its 95 % interval."
    accuracy = query(shown, "{{model_version}} {{figure}}")
    board = board.with_panel(lines("Live accuracy", text, "percentunit", accuracy, span=24))
    text = "Of the last hour's copies: which agree, fail or are dropped; time of its networks by that of what serves."
    shares = [query(SHARE.format(*parts), legend) for legend, parts in CANDIDATE.items()]
    candidate = lines("Candidate", text, "percentunit", *shares)
    board = board.with_row(dashboard.Row("Rollout")).with_panel(candidate).with_panel(_stage())
    return board.with_panel(_served()).with_panel(_pods()).with_panel(_conditions())


def _variable(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """A choice of the reader, which all queries are about."""
    made = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(values)
    return made.refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(d.VariableSort.ALPHABETICAL_ASC)


def _availability() -> timeseries.Panel:
    made = lines(
        "Availability",
        "Share of each pod's last 1000 requests that were not answered with 5xx, over seven days.",
        "percent",
        query(f"avg(availability_percent{{{PODS}}})", "mean of the pods"),
        query(f"min(availability_percent{{{PODS}}})", "worst pod"),
    )
    return parts.limit(made, AVAILABILITY, bad_below=True).time_from("7d").max(100)


def _throughput() -> timeseries.Panel:
    made = lines(
        "Throughput",
        "Pictures a second: identified, and rejected for any reason.",
        "short",
        query(f"sum(rate(predictions_total{{{PODS}}}[5m]))", "predictions"),
        query(f"sum(rate(rejections_total{{{PODS}}}[5m]))", "rejections"),
    )
    return stacked(made)


def _latency() -> timeseries.Panel:
    def quantile(of: float) -> str:
        return f"1000 * histogram_quantile({of}, sum by (le) (rate({DURATION}_bucket{{{PODS},{SINGLE}}}[5m])))"

    made = lines(
        "Latency",
        "Average over each pod's last 1000 requests, and quantiles of single pictures answered in five minutes.",
        "ms",
        query(f"avg(latency_avg_ms{{{PODS}}})", "average"),
        query(quantile(0.5), "p50"),
        query(quantile(0.95), "p95"),
        query(quantile(0.99), "p99"),
    )
    return parts.limit(made, SLOW_MS)


def _durations() -> heatmap.Panel:
    increase = f"sum by (le) (increase({DURATION}_bucket{{{PODS}}}[$__rate_interval]))"
    counted = query(increase, "{{le}}", form=p.PromQueryFormat.HEATMAP)
    made = panel(heatmap.Panel(), "Request durations", "How many requests took how long.", counted)
    blues = heatmap.HeatmapColorOptions().mode(h.HeatmapColorMode.SCHEME).scheme("Blues")
    return made.y_axis(heatmap.YAxisConfig().unit("s")).hide_legend().calculate(False).color(blues)


def _rejections() -> piechart.Panel:
    # A gauge by type, and only ever growing.
    counted = f"sum by (reason) (increase(rejections_by_reason{{{PODS}}}[$__range]))"
    made = panel(
        piechart.Panel(),
        "Rejections by reason",
        "Over the time shown. Mostly not_a_marine_mammal: see the runbook, systemic rejections.",
        query(counted, "{{reason}}", instant=True),
        span=8,
    )
    legend = piechart.PieChartLegendOptions().placement(c.LegendPlacement.RIGHT).show_legend(True)
    legend = legend.values([pie.PieChartLegendValues.VALUE, pie.PieChartLegendValues.PERCENT])
    made = made.pie_type(pie.PieChartType.DONUT).reduce_options(parts.LATEST).legend(legend)
    return made.unit("short").decimals(0)


def _drift() -> timeseries.Panel:
    # A pod without samples has no mean: it must not make that of the others unknown.
    samples = f"(cetacean_inference_drift_samples{{{PODS}}} > 0)"
    pooled = f"sum(cetacean_score_avg{{{PODS}}} * {samples}) / sum({samples})"
    made = lines(
        "Drift",
        "Mean cetacean score over the drift window, and the mean that the model's evaluation lets expect.",
        "percentunit",
        query(pooled, "cetacean_score_avg, all pods"),
        query(f"cetacean_score_avg{{{PODS}}}", "{{pod}}"),
        query(f"max(cetacean_inference_drift_baseline{{{PODS}}})", "baseline"),
        span=8,
    )
    baseline = [
        d.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": parts.RED}),
        d.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [10, 10]}),
    ]
    return made.override_by_query("C", baseline).max(1)


def _errors() -> timeseries.Panel:
    errors, requests = (f"sum(rate({series}{{{PODS}}}[5m]))" for series in ("errors_total", "requests_total"))
    made = lines(
        "Errors",
        "Answers with 5xx a second, and their share of all answers; the line is where the alert begins.",
        "percentunit",
        query(errors, "errors a second"),
        query(f"{errors} / ({requests} > 0)", "share of requests"),
        span=8,
    )
    per_second = [
        d.DynamicConfigValue(id_val="unit", value="reqps"),
        d.DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
    ]
    return parts.limit(made, ERRORS).override_by_query("A", per_second)


def _served() -> timeseries.Panel:
    loaded = f"count by (name, version, sha256) (cetacean_inference_model_info{{{PODS}}})"
    made = lines(
        "Pods by model served",
        "Which weights the pods say they have loaded; promotions and rollbacks are marked.",
        "short",
        query(loaded, "{{name}} {{version}} {{sha256}}"),
    )
    return stacked(made).decimals(0)


def _pods() -> table.Panel:
    made = panel(
        table.Panel(),
        "What each pod serves",
        "As the pod itself says: model, version, digest of the weights, engine, gate's threshold.",
        query(f"cetacean_inference_model_info{{{PODS}}}", instant=True, form=p.PromQueryFormat.TABLE),
    )
    shown = ("pod", "name", "version", "sha256", "engine", "threshold")
    hidden = ("Time", "Value", "__name__", "container", "endpoint", "instance", "job", "namespace", "service")
    order = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {name: index for index, name in enumerate(shown)},
    }
    return made.with_transformation(d.DataTransformerConfig(id_val="organize", options=order))


def _stage() -> timeseries.Panel:
    figures = [
        query(f'cetacean_model_candidate{{{RESOURCE},figure="{figure}"}}', legend)
        for figure, legend in (("stage", "{{model}} {{version}}"), ("stages", "stages"), ("held", "held"))
    ]
    verdict = query(f'cetacean_model_condition{{{RESOURCE},type="CandidatePassed"}}', "CandidatePassed")
    text = (
        "A candidate's stage, of how many, 1 if it is held for a person; CandidatePassed: 1 True, 0 False, -1 Unknown."
    )
    return lines("Stage", text, "short", *figures, verdict).min(-1)


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
    """A mark at each time at which pods begin to serve another model."""

    def __init__(self) -> None:
        """Read the models that the operator reports as serving."""
        now = f"count by (model, version) (cetacean_model_serving_info{{{RESOURCE}}}"
        self._internal = _Marked(
            name="Promotions and rollbacks",
            datasource=SOURCE,
            icon_color=parts.BLUE,
            expr=f"{now}) unless {now} offset 1m)",
        )
