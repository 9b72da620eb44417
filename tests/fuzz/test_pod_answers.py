"""Whatever a pod answers: a usable value or one line, and the operator's event loop does not stop for it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from hypothesis import strategies as st
from prometheus_client import generate_latest
from pydantic_core import to_json
from support.fuzzing import assert_message, bounded, fuzzed
from support.mutations import TEXTS, as_hostile_text, mutated
from support.operator_world import World
from support.pods import pod_manifest, ready_pod, running_status
from support.raw_http import raw_server

from cetacean_cli.disagreements import merge, parse_list
from cetacean_cli.disagreements_page import page
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.metrics import Metrics
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.settings import DriftSettings
from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Identity
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.feedback import live_accuracy
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.decisions.plan import status_as_applied
from cetacean_operator.kube.store import Store
from cetacean_operator.pods.feedback_response import parse_feedback_stats
from cetacean_operator.pods.pod_client import PodClient
from cetacean_operator.pods.pod_responses import (
    LARGEST_COUNT,
    LARGEST_JSON,
    REASONS,
    BadAnswerError,
    parse_drift_stats,
    parse_identity,
    parse_metrics,
)
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.reconcile.observe import Observer

LARGEST_BODY = 2**20
"""Bytes of one answer that the operator reads by default."""
LONGEST_PAUSE = 0.5
"""Seconds of processor time for one answer: the loop also renews the Lease."""
LONGEST_ERROR = 500
"""Characters of a scrape's error; the status shows it."""
IDENTITY = {
    "model": {"name": "first", "version": "1.0.0", "architecture": "CetaceanIdentificationModel"},
    "weights": {"sha256": "a" * 64, "expected_sha256": "a" * 64, "verified": True},
    "gate": {"architecture": "ViT-B-32", "pretrained": "x", "sha256": None, "threshold": 0.52, "enabled": True},
    "config_digest": "c" * 64,
    "rollout_id": "0123456789",
    "engine": "torch-eager",
    "ready": True,
}
DRIFT = {
    "n": 100,
    "alarms_total": 1,
    "score_mean": 0.91,
    "score_std": 0.02,
    "probability_mean": 0.8,
    "window": 1000,
    "baseline": 0.93,
    "drop": 0.02,
    "drifting": False,
    "adwin": {"changes_total": 0, "width": 100, "score_mean": 0.91},
}
FEEDBACK_OF_ONE = {"species_correct": 2, "species_wrong": 1, "individual_correct": 0, "individual_wrong": 1}
FEEDBACK = {
    "received": 6,
    "models": [
        {"model_version": version, **FEEDBACK_OF_ONE, "by_species": [{"name": "orca", "correct": 2, "wrong": 1}]}
        for version in ("1.0.0", "other")
    ],
}


def exposition() -> bytes:
    """Return `/metrics` of a service that has answered a few requests."""
    metrics = Metrics(
        drift=DriftMonitor(model="first", settings=DriftSettings(), monitoring=Monitoring()),
        info=lambda: {"name": "first"},
    )
    for status in (200, 200, 415, 500):
        metrics.observe_request("/v1/predict-single", status, 0.2)
    return bytes(generate_latest(metrics.registry))


EXPOSITION = exposition()
LABELS = st.sampled_from(
    (
        "",
        '{reason="not_a_marine_mammal"}',
        '{reason="\\"\\n\\\\"}',
        '{reason="' + "\\n" * 200 + '"}',
        '{endpoint="/v1/predict-single",status="200",le="0.5"}',
        '{endpoint="/v1/predict-single",status="200",le="NaN"}',
        '{endpoint="/v1/predict-single",status="200",le="1e400"}',
        '{endpoint="/v1/predict-single",status="200",le="x"}',
        '{endpoint="/v1/predict-single",status="200"}',
        "{",
        '{a="b",}',
        '{a="b"',
        "{a=b}",
        '{"quoted"}',
    )
)
NAMES = st.sampled_from(
    (
        "predictions_total",
        "rejections_total",
        "requests_total",
        "cetacean_score_avg",
        "availability_percent",
        "rejections_by_reason",
        "rejections_by_reason_total",
        "cetacean_inference_request_duration_seconds_bucket",
        "# TYPE predictions_total",
        "# HELP requests_total",
        "other_total",
    )
)
NUMBERS = st.one_of(
    st.sampled_from(
        ("1", "-1", "NaN", "+Inf", "1e999", "9" * 400, "0x10", "1_0", "", " ", "1 2", "1 # {} 1", "\u0661", "1e-400")
    ),
    st.integers().map(str),
)
LINES = st.lists(st.tuples(NAMES, LABELS, NUMBERS).map(lambda parts: f"{parts[0]}{parts[1]} {parts[2]}"), max_size=80)


def read(parse: Callable[[], Any]) -> Any:
    """Return what is read, None for a bad answer, whose message is one line."""
    with bounded(cpu_seconds=LONGEST_PAUSE, memory=64 * 2**20):
        try:
            return parse()
        except BadAnswerError as error:
            assert_message(str(error), longest=LONGEST_ERROR)
            return None


@fuzzed(as_hostile_text(IDENTITY), examples=200)
def test_an_identity_is_short_texts_and_a_finite_number_or_a_bad_answer(body: bytes) -> None:
    identity = read(lambda: parse_identity("/v1/identity", body))
    if identity is None:
        return
    for field in Identity.__dataclass_fields__:
        value = getattr(identity, field)
        assert value is None or (isinstance(value, str) and 0 < len(value) <= 253) or field == "threshold"
    assert identity.threshold is None or math.isfinite(identity.threshold)
    to_json([getattr(identity, field) for field in Identity.__dataclass_fields__])


@fuzzed(as_hostile_text(DRIFT), examples=200)
def test_drift_figures_are_within_their_ranges_or_a_bad_answer(body: bytes) -> None:
    stats = read(lambda: parse_drift_stats("/v1/drift-stats", body))
    if stats is None:
        return
    assert 0 <= stats.samples <= LARGEST_COUNT
    assert 0 <= stats.alarms <= LARGEST_COUNT
    assert stats.score_mean is None or 0 <= stats.score_mean <= 1


@fuzzed(as_hostile_text(FEEDBACK), examples=200)
def test_feedback_is_counts_of_which_a_status_can_be_made_or_a_bad_answer(body: bytes) -> None:
    feedback = read(lambda: parse_feedback_stats(body))
    if feedback is None:
        return
    assert len(feedback) <= 17
    for version, counts in feedback.items():
        assert 0 < len(version) <= 253
        assert 0 <= counts.individuals <= counts.answers
    shown = live_accuracy([ready_pod(1, feedback=feedback), ready_pod(2, feedback=feedback)], ())
    to_json([one.wire() for one in shown])
    assert all(0 <= one.species.low <= one.species.accuracy <= one.species.high <= 1 for one in shown)


def check_metrics(body: bytes) -> None:
    metrics = read(lambda: parse_metrics(body))
    if metrics is None:
        return
    assert all(map(math.isfinite, (*metrics.plain.values(), *metrics.rejections.values())))
    assert set(metrics.rejections) <= REASONS
    assert len(metrics.plain) <= 10
    assert len(metrics.durations) <= 64
    assert [bound for bound, _ in metrics.durations] == sorted(bound for bound, _ in metrics.durations)
    assert metrics.plain or metrics.rejections or metrics.durations or b"NaN" in body or b"nf" in body or b"e" in body


@fuzzed(mutated((EXPOSITION,)), examples=150)
def test_a_mutated_exposition_is_finite_numbers_or_a_bad_answer(body: bytes) -> None:
    check_metrics(body)


@fuzzed(LINES, examples=200)
def test_any_lines_of_an_exposition_are_finite_numbers_or_a_bad_answer(lines: list[str]) -> None:
    check_metrics("\n".join(lines).encode())


UNITS = st.one_of(
    st.tuples(NAMES, LABELS, NUMBERS).map(lambda parts: f"{parts[0]}{parts[1]} {parts[2]}\n".encode()),
    st.sampled_from((b"\\", b"\\n", b'"', b"{", b"=", b",", b"#", b" ", b"[", b'{"a":', b"9", b'a="\\n",')),
)


@fuzzed(st.tuples(st.binary(max_size=20), UNITS, st.binary(max_size=20)), examples=60)
def test_no_answer_of_the_largest_size_is_read_or_stops_the_event_loop(parts: tuple[bytes, bytes, bytes]) -> None:
    begin, unit, end = parts
    label = b'predictions_total{a="' if len(unit) < 5 else b""
    body = begin + label + unit * ((LARGEST_BODY - 100) // len(unit)) + end
    # Either no line of it is wanted, or more lines or longer ones than the service sends.
    assert read(lambda: parse_metrics(body)) is None
    assert read(lambda: parse_identity("/v1/identity", body[:LARGEST_JSON])) is None
    assert read(lambda: parse_drift_stats("/v1/drift-stats", body)) is None
    assert read(lambda: parse_feedback_stats(body[: 512 * 1024])) is None


def response(body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


RESPONSES = (
    response(json.dumps(IDENTITY).encode()),
    response(json.dumps(DRIFT).encode()),
    response(EXPOSITION, "text/plain"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\n\r\n\x1f\x8b",
)


@fuzzed(st.tuples(*(mutated(RESPONSES, most=3),) * 3), examples=80)
def test_no_bytes_over_the_wire_end_the_scrape_of_a_pod(answers: tuple[bytes, bytes, bytes]) -> None:
    async def scrape() -> tuple[Scrape, list[str]]:
        counted: list[str] = []
        async with (
            raw_server(answers) as port,
            PodClient(timeout=5.0, max_bytes=LARGEST_BODY, count=counted.append) as client,
        ):
            return await client.scrape(Target("u", ("sea", "whales"), "127.0.0.1", port, ready=True)), counted

    found, counted = asyncio.run(scrape())
    assert len(counted) == 1
    assert (found.error is None) == (counted == ["ok"])
    if found.error is not None:
        assert_message(found.error, longest=LONGEST_ERROR)


def served() -> World:
    world = World()
    world.settle()
    return world


SERVED = served()
POD = pod_manifest(
    "p",
    version=5,
    labels={names.LABEL_MODEL: "whales"},
    annotations={names.ANNOTATION_ROLLOUT_ID: "0123456789"},
    status=running_status("10.0.0.1"),
)


@fuzzed(st.tuples(as_hostile_text(IDENTITY), as_hostile_text(DRIFT), mutated((EXPOSITION,)) | TEXTS), examples=100)
def test_a_decision_is_made_whatever_a_pod_reports(bodies: tuple[bytes, bytes, bytes]) -> None:
    identity, drift = (
        read(lambda: parse_identity("", bodies[0])),
        read(lambda: parse_drift_stats("", bodies[1])),
    )
    metrics = read(lambda: parse_metrics(bodies[2]))
    scrape = Scrape(identity=identity, drift_stats=drift)
    if metrics is not None:
        scrape = Scrape(identity, drift, metrics.plain, metrics.rejections, metrics.durations)
    store = Store(owner_of)
    for obj in (*SERVED.children.values(), POD):
        store.put(obj)
    observer = Observer(store, {"p": scrape}.get)
    observed = observer.observe(("sea", "whales"), window=100, answers=100)
    assert len(observed.pods) == 1
    with bounded():
        plan = decide(CetaceanModel.of(SERVED.obj), observed, SERVED.now)
        to_json([status_as_applied(plan.status), plan.annotations, plan.apply])
    for event in plan.events:
        event.message.encode()


ANSWER_OF_ONE = {"accepted": True, "species": "orca", "individual": "a1", "score": 0.9, "probability": 0.9}
MODEL_OF_ONE = {"name": "first", "version": "1.0.0", "sha256": "a" * 64}
DISAGREEMENTS = {
    "run": "one",
    "served": MODEL_OF_ONE,
    "candidate": MODEL_OF_ONE,
    "keeps_pictures": True,
    "disagreements": [{"image_sha256": "1" * 64, "served": ANSWER_OF_ONE, "candidate": ANSWER_OF_ONE}] * 2,
}


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}


def tags_of(content: dict[str, Any]) -> set[str]:
    found = merge({"w-1": parse_list(content)})
    return Tags(page("cetaceanmodel sea/whales", found, lambda _: b"\x89PNG\r\n\x1a\n")).found


KNOWN_TAGS = tags_of(DISAGREEMENTS) | tags_of({**DISAGREEMENTS, "run": None, "served": None, "candidate": None})


@fuzzed(as_hostile_text(DISAGREEMENTS), examples=200)
def test_a_list_of_disagreements_becomes_a_page_without_other_tags_or_a_bad_answer(body: bytes) -> None:
    content = read_object(body)
    if content is None:
        return
    with bounded():
        try:
            found = tags_of(content)
        except ValueError as error:
            assert_message(str(error))
            return
    assert found <= KNOWN_TAGS | {"class"}


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for anything else, which the command refuses before."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
