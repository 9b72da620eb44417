"""Whatever a pod answers: it is parsed within a bound of work, and only small, known values are kept."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.many_pods import ESCAPED

from cetacean_operator.api.observed import Identity
from cetacean_operator.pods.pod_responses import (
    LARGEST_JSON,
    BadAnswerError,
    DriftStats,
    describe,
    parse_drift_stats,
    parse_identity,
    parse_metrics,
)

LARGEST = 1 << 20
"""Bytes of the largest body that is read from a pod."""
COUNTERS = ("predictions_total", "rejections_total", "requests_total", "errors_total")
DURATIONS = 'cetacean_inference_request_duration_seconds_bucket{endpoint="/v1/predict-single",status="200",le="%s"} 1'


def identity(answer: Any) -> Identity:
    return parse_identity("/v1/identity", json.dumps(answer).encode())


def page(*lines: str) -> bytes:
    """Return metrics of these lines, and of the counters that they do not have."""
    counters = [f"{name} 0" for name in COUNTERS if not any(line.startswith(name) for line in lines)]
    return "\n".join((*counters, *lines)).encode() + b"\n"


def drift_stats(answer: Any) -> DriftStats:
    return parse_drift_stats("/v1/drift-stats", json.dumps(answer).encode())


def test_the_identity_of_the_service_contract_is_read() -> None:
    answer = {
        "model": {"name": "effb4_15k", "version": "1.0.0", "architecture": "X"},
        "weights": {"sha256": "a" * 64, "expected_sha256": None, "verified": False},
        "gate": {"threshold": 0.52, "enabled": True},
        "config_digest": "c",
        "rollout_id": "r",
        "ready": True,
    }
    assert identity(answer) == Identity("effb4_15k", "1.0.0", "a" * 64, 0.52, "c", "r")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
PARTS = ("model", "weights", "gate", "config_digest", "rollout_id")
FIELDS = ("name", "version", "sha256", "threshold")


@given(
    st.dictionaries(st.sampled_from(PARTS), VALUES | st.dictionaries(st.sampled_from(FIELDS), VALUES)),
    st.dictionaries(st.sampled_from(("n", "alarms_total", "score_mean")), VALUES),
)
def test_any_json_object_is_read_and_every_text_can_be_encoded(answer: dict[str, Any], stats: dict[str, Any]) -> None:
    found = identity(answer)
    for value in (found.name, found.version, found.digest, found.config_digest, found.rollout_id):
        assert value is None or (0 < len(value) <= 253 and value.encode())
    read = drift_stats(stats)
    assert read.samples >= 0
    assert read.alarms >= 0
    assert read.score_mean is None or 0.0 <= read.score_mean <= 1.0


def test_half_of_a_surrogate_pair_becomes_a_character_that_can_be_encoded() -> None:
    found = parse_identity("/v1/identity", rb'{"model": {"name": "\ud800x"}}')
    assert found.name == "?x"


@pytest.mark.parametrize("value", [1e999, -1e999, 10**400, 2**54, True, "5", None])
def test_impossible_numbers_are_read_as_missing(value: object) -> None:
    raw = json.dumps({"n": value, "alarms_total": value, "score_mean": value}).replace("Infinity", "1e999").encode()
    assert parse_drift_stats("/v1/drift-stats", raw) == DriftStats(0, 0, None)


@pytest.mark.parametrize("value", ["9" * 400, "-" + "9" * 400, "1e999", "+Inf", "NaN", "-1", str(2**54)])
@pytest.mark.parametrize("series", [*COUNTERS, 'rejections_by_reason{reason="low_confidence"}', (DURATIONS % 1)[:-2]])
def test_a_count_that_cannot_be_read_is_an_error_and_no_zero(series: str, value: str) -> None:
    name = series.partition("{")[0]
    with pytest.raises(BadAnswerError, match=f"^/metrics: expected {name} to be a count, got "):
        parse_metrics(page(f"{series} {value}"))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1e999", str(2**54)])
def test_a_gauge_without_a_value_is_left_out(value: str) -> None:
    assert parse_metrics(page(f"cetacean_score_avg {value}")).plain == dict.fromkeys(COUNTERS, 0.0)


@pytest.mark.parametrize("missing", COUNTERS)
def test_a_counter_that_is_missing_is_an_error_and_no_zero(missing: str) -> None:
    body = page().replace(f"{missing} 0\n".encode(), b"")
    with pytest.raises(BadAnswerError, match=f"^/metrics: expected {missing}, got nothing of it$"):
        parse_metrics(body)


@pytest.mark.parametrize(
    "series", ["errors_total", 'rejections_by_reason{reason="low_confidence"}', (DURATIONS % 1)[:-2]]
)
def test_a_series_that_is_there_twice_is_an_error(series: str) -> None:
    name = series.partition("{")[0]
    with pytest.raises(
        BadAnswerError, match=f"^/metrics: expected {name} once for each reason and bound, got it twice$"
    ):
        parse_metrics(page(f"{series} 1", "availability_percent 1", f"{series} 0"))


def test_buckets_that_hold_fewer_answers_than_smaller_ones_are_an_error() -> None:
    lines = [DURATIONS % 1, (DURATIONS % 2)[:-1] + "3", (DURATIONS % 3)[:-1] + "2"]
    assert parse_metrics(page(*lines[:2])).durations == ((1.0, 1.0), (2.0, 3.0))
    with pytest.raises(BadAnswerError, match=r"^/metrics: expected each bucket of .* to hold those before it$"):
        parse_metrics(page(*lines))


def test_an_error_that_quotes_what_a_pod_has_sent_is_one_short_line() -> None:
    found = describe(ValueError("bad status line\n" + "x\x1b[31m" * 1000))
    assert found.isprintable()
    assert len(found) <= 400


def test_only_reasons_that_the_service_has_are_kept() -> None:
    lines = [f'rejections_by_reason{{reason="{reason}"}} 2' for reason in ("low_confidence", "x" * 60, "made_up")]
    assert parse_metrics(page(*lines)).rejections == {"low_confidence": 2.0}


@pytest.mark.parametrize("bound", ["nan", "x"])
def test_a_bucket_without_a_bound_is_a_bad_answer(bound: str) -> None:
    with pytest.raises(BadAnswerError):
        parse_metrics(page(DURATIONS % bound))


def repeated(piece: bytes, *, head: bytes = b"", tail: bytes = b"") -> bytes:
    """A body of the largest size."""
    return head + piece * ((LARGEST - len(head) - len(tail)) // len(piece)) + tail


def adversarial() -> Iterator[tuple[str, bytes]]:
    yield "escapes in one label", repeated(rb"\\\n", head=b'predictions_total{a="', tail=b'"} 1\n')
    escaped = ",".join(f'a{one}="{ESCAPED}"' for one in range(50))
    yield "escaped labels", repeated(f"requests_total{{{escaped}}} 1\n".encode())[: 1999 * 512]
    yield "many labels", repeated(b'a="b",', head=b"predictions_total{", tail=b"} 1\n")
    yield "braces", repeated(b"{", head=b"predictions_total")
    yield "quotes", repeated(b'"', head=b"predictions_total{")
    yield "many wanted lines", repeated(b"predictions_total 1\n")
    yield "many reasons", b"".join(b'rejections_by_reason{reason="%d"} 1\n' % number for number in range(25_000))
    yield "many buckets", "\n".join(DURATIONS % number for number in range(9000)).encode()[:LARGEST]
    yield "empty lines", repeated(b"\n")
    yield "short lines", repeated(b"a\n")
    yield "one line", repeated(b"a")
    yield "beginnings", repeated(b"predictions_total_\n")
    yield "zeros", repeated(b"\0")
    yield "digits", repeated(b"9", head=b"predictions_total ", tail=b"\n")
    yield "comments", repeated(b"# HELP x y\n")


@pytest.mark.parametrize("shape", dict(adversarial()))
def test_no_metrics_page_blocks_the_event_loop(shape: str) -> None:
    body = dict(adversarial())[shape]
    kept: object = None
    began = time.process_time()
    with contextlib.suppress(BadAnswerError):
        kept = parse_metrics(body)
    assert time.process_time() - began < 0.5, shape
    assert len(pickle.dumps(kept)) < 8192


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'"\\ud800",', b"1,", b"{},"])
def test_no_json_answer_blocks_the_event_loop(piece: bytes) -> None:
    body = repeated(piece, head=b"[")
    began = time.process_time()
    for path, parse in (("/v1/identity", parse_identity), ("/v1/drift-stats", parse_drift_stats)):
        with pytest.raises(BadAnswerError):
            parse(path, body)
        with pytest.raises(BadAnswerError):
            parse(path, body[:LARGEST_JSON])
    assert time.process_time() - began < 0.5


def test_a_hundred_pods_with_the_largest_answers_keep_less_than_two_megabytes() -> None:
    long = "x" * 60_000
    answer = {"model": {"name": long, "version": long}, "weights": {"sha256": long}, "more": [long[:2000]]}
    metrics = page(*(DURATIONS % bound for bound in range(60)), "predictions_total 5", "x 1\n" * 200_000)
    one = pickle.dumps((identity({**answer, "model": {"name": long}, "weights": {}}), parse_metrics(metrics)))
    assert len(one) * 100 < 2 * 1024 * 1024
    assert math.isfinite(parse_metrics(metrics).plain["predictions_total"])
