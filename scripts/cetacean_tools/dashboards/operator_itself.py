"""The operator itself: whether it leads, keeps up, and reaches the API server and the pods."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard, statetimeline, timeseries

from cetacean_tools.dashboards import parts
from cetacean_tools.dashboards.parts import limit, lines, number, query

PREFIX: Final = "cetacean_operator"
OURS: Final = f"and on (namespace, pod) {PREFIX}_leader"  # the operator's pods among all with a process metric
STUCK_SECONDS: Final = 120.0  # oldest wait in the queue; above it CetaceanOperatorQueueStuck begins to count


def build() -> dashboard.Dashboard:
    """Build a new one."""
    board = parts.board(
        "Cetacean / Operator",
        "cetacean-operator",
        "The operator: leadership, models, reconciles, queue, API requests, scrapes of pods, memory.",
    )
    leads = number("Leads", "Whether a replica holds the Lease.", f"max({PREFIX}_leader)")
    for stat in (
        leads.mappings(parts.mappings({"0": ("no", parts.RED), "1": ("yes", parts.GREEN)})),
        number("Replicas", "Operator pods that answer scrapes.", f"count({PREFIX}_leader)"),
        number("Models", "Resources the operator serves.", _models("Ready")),
        number("Not ready", "Models whose pods do not all serve the active weights.", _models("Ready", " != 1")),
        number("Drifting", "Models whose scores or answers have changed.", _models("Drifting", " == 1")),
        number("Stalled", "Models that wait for a person.", _models("Stalled", " == 1")),
    ):
        board = board.with_panel(stat)
    for panel in (_ready(), *_graphs()):
        board = board.with_panel(panel)
    return board


def _models(kind: str, compared: str = "") -> str:
    """How many resources have a condition, with a value that fits the comparison."""
    return f'count(max by (namespace, name) (cetacean_model_condition{{type="{kind}"}}){compared}) or vector(0)'


def _ready() -> statetimeline.Panel:
    return parts.states(
        "Ready, by model",
        "All wanted replicas serve the active digest.",
        query('max by (namespace, name) (cetacean_model_condition{type="Ready"})', "{{namespace}}/{{name}}"),
        {"0": ("not ready", parts.RED), "1": ("ready", parts.GREEN), "-1": ("unknown", parts.YELLOW)},
    )


def _graphs() -> tuple[timeseries.Panel, ...]:
    duration = f"{PREFIX}_reconcile_duration_seconds"
    bucket = f"sum by (le) (rate({duration}_bucket[5m]))"
    wait = f"sum by (le) (rate({PREFIX}_queue_wait_seconds_bucket[5m]))"
    repairs = f"sum by (resource) (increase({PREFIX}_cache_repairs_total[5m]))"
    waiting = lines(
        "Wait in the queue",
        "The line is where the alert begins.",
        "s",
        query(f"max({PREFIX}_queue_oldest_seconds)", "longest now"),
        query(f"histogram_quantile(0.99, {wait})", "p99"),
    )
    return (
        lines(
            "Pods of models, by state",
            "existing: there; ready: answering; active: serving the active digest.",
            "short",
            query("sum by (state) (cetacean_model_replicas)", "{{state}}"),
        ),
        lines(
            "Reconciles",
            "A second, by what came of them, and repeats after a failure.",
            "short",
            query(f"sum by (result) (rate({duration}_count[5m]))", "{{result}}"),
            query(f"sum(rate({PREFIX}_queue_retries_total[5m]))", "retries"),
            query(f"sum by (reason) (rate({PREFIX}_reconcile_errors_total[5m]))", "Reconciles that failed: {{reason}}"),
        ),
        lines(
            "Time of a reconcile",
            "From observing to the last write.",
            "s",
            query(f"histogram_quantile(0.5, {bucket})", "p50"),
            query(f"histogram_quantile(0.99, {bucket})", "p99"),
        ),
        lines(
            "Queue",
            "Resources that wait for a worker, and requests to reconcile a second.",
            "short",
            query(f"sum({PREFIX}_queue_depth)", "waiting"),
            query(f"sum(rate({PREFIX}_queue_adds_total[5m]))", "added a second"),
        ),
        limit(waiting, STUCK_SECONDS),
        lines(
            "Requests to the API server",
            "A second, by verb and code.",
            "reqps",
            query(f"sum by (verb, code) (rate({PREFIX}_api_requests_total[5m]))", "{{verb}} {{code}}"),
        ),
        lines(
            "Scrapes of pods",
            "A second, by what came of them.",
            "short",
            query(f"sum by (result) (rate({PREFIX}_scrapes_total[5m]))", "{{result}}"),
        ),
        lines(
            "Age of the watches",
            "Time since a watch last carried anything; the operator is restarted when one is silent for too long.",
            "s",
            query(f"max by (resource) ({PREFIX}_watch_age_seconds)", "{{resource}}"),
        ),
        lines(
            "Repairs of the cache",
            "Lists of a kind, at start and after an expired watch, and deletions that a list found, in five minutes.",
            "short",
            query(f"sum by (resource) (increase({PREFIX}_relists_total[5m]))", "Listings: {{resource}}"),
            query(repairs, "Objects that a listing corrected: {{resource}}"),
        ),
        lines("Memory", "Resident, by pod.", "bytes", query(f"process_resident_memory_bytes {OURS}", "{{pod}}")),
        lines(
            "Processor",
            "Cores in use, by pod.",
            "short",
            query(f"rate(process_cpu_seconds_total[5m]) {OURS}", "{{pod}}"),
        ),
    )
