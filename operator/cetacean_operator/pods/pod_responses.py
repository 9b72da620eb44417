"""Parse the responses of pods: they come from outside and may contain anything.

Each response is bounded in bytes, lines and values before it is parsed, so that no body blocks the event loop, and only
small values are kept of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from cetacean_operator.api.objects import mapping_of
from cetacean_operator.api.observed import AnswerCounts, Identity
from cetacean_operator.pods.answer_counts import parse_answers
from cetacean_registry.messages import one_line

K = TypeVar("K", str, float)

LARGEST_COUNT: Final = 2**53
"""Beyond it floats cannot count."""
LARGEST_JSON: Final = 64 * 1024
"""Bytes of `/v1/identity` and `/v1/drift-stats`; the service sends a few kilobytes if it names many species."""
REASONS: Final = frozenset({"not_a_marine_mammal", "low_confidence", "corrupted_image"})
"""The reasons of rejections that the service has; others are left out."""
_LONGEST_TEXT = 253
_LONGEST_LINE = 512
_MOST_LINES = 2000
_MOST_PARSED_BYTES: Final = 16 * 1024
"""Of the lines that are parsed: the service sends a few kilobytes. A kilobyte of labels takes up to 0.6 ms."""
_MOST_BUCKETS = 64
_DURATIONS = "cetacean_inference_request_duration_seconds_bucket"
# The time of an archive depends on the number of its pictures, and a rejected request takes no time.
_JUDGED = (b'endpoint="/v1/predict-single"', b'status="200"')
_COUNTERS = ("predictions_total", "rejections_total", "requests_total", "errors_total")
FEEDBACK_RECEIVED: Final = "cetacean_inference_feedback_received_total"
"""Says whether a pod has any feedback; one without any is not asked for more."""
_GAUGES = ("cetacean_score_avg", "availability_percent")
_BY_REASON = ("rejections_by_reason", "rejections_by_reason_total")
_WANTED = "|".join((*_COUNTERS, FEEDBACK_RECEIVED, *_GAUGES, *_BY_REASON, _DURATIONS))
# The pattern finds whole lines of these metrics in one pass, whatever else is in the body.
_LINE = re.compile(rf"^(?:{_WANTED})(?![A-Za-z0-9_:])[^\n]*$".encode(), re.MULTILINE)


class DriftStats(NamedTuple):
    """The numbers of `/v1/drift-stats` that decisions need."""

    samples: int = 0
    alarms: int = 0
    score_mean: float | None = None
    answers: AnswerCounts | None = None
    """None if the pod reports none that can be used."""


class PodMetrics(NamedTuple):
    """The metrics of a pod that decisions need; a gauge without a value is left out."""

    plain: dict[str, float]
    """By name."""
    rejections: dict[str, float]
    """By reason."""
    durations: tuple[tuple[float, float], ...]
    """Answers to single pictures by the seconds they took at most: bound and count, ascending, the last bound inf."""


class BadAnswerError(Exception):
    """A response that cannot be used."""


def parse_identity(path: str, body: bytes) -> Identity:
    """Read `/v1/identity`; a field of an unexpected type counts as missing.

    Raises:
        BadAnswerError: it is no JSON object; the message names `path` and quotes the first bytes.
    """
    answer = parse_json(path, body)
    model, weights, gate = (mapping_of(answer.get(part)) for part in ("model", "weights", "gate"))
    return Identity(
        name=text(model.get("name")),
        version=text(model.get("version")),
        digest=text(weights.get("sha256")),
        threshold=number(gate.get("threshold")),
        config_digest=text(answer.get("config_digest")),
        rollout_id=text(answer.get("rollout_id")),
    )


def parse_drift_stats(path: str, body: bytes) -> DriftStats:
    """Read `/v1/drift-stats`; a field of an unexpected type counts as missing.

    Raises:
        BadAnswerError: it is no JSON object; the message names `path` and quotes the first bytes.
    """
    answer = parse_json(path, body)
    return DriftStats(
        samples=max(0, int(number(answer.get("n")) or 0)),
        alarms=max(0, int(number(answer.get("alarms_total")) or 0)),
        score_mean=fraction(answer.get("score_mean")),
        answers=parse_answers(answer.get("answers")),
    )


def parse_metrics(body: bytes) -> PodMetrics:
    """Read the needed metrics of a Prometheus exposition.

    Raises:
        BadAnswerError: it is no exposition, not the service's, has more or longer lines than the service sends, has a
            series twice, or a counter is missing or no count: read as 0, it would hide errors.
    """
    lines = _wanted_lines(body)
    plain: dict[str, float] = {}
    rejections: dict[str, float] = {}
    durations: dict[float, float] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                if sample.name == _DURATIONS:
                    _add(durations, float(sample.labels["le"]), _count(sample), sample.name)
                elif sample.name in _BY_REASON:
                    if (reason := sample.labels["reason"]) in REASONS:
                        _add(rejections, reason, _count(sample), sample.name)
                elif sample.name not in _GAUGES:
                    _add(plain, sample.name, _count(sample), sample.name)
                elif (value := number(sample.value)) is not None:  # NaN if the pod has answered nothing yet
                    _add(plain, sample.name, value, sample.name)
    except (ValueError, KeyError, IndexError) as error:
        raise BadAnswerError(f"/metrics: expected Prometheus text, got {_excerpt(body)}") from error
    if len(durations) > _MOST_BUCKETS or any(math.isnan(bound) for bound in durations):
        raise BadAnswerError(f"/metrics: expected at most {_MOST_BUCKETS} buckets of {_DURATIONS}")
    if missing := [name for name in _COUNTERS if name not in plain]:
        raise BadAnswerError(f"/metrics: expected {', '.join(missing)}, got nothing of it")
    buckets = tuple(sorted(durations.items()))
    if any(count < before for (_, before), (_, count) in pairwise(buckets)):
        raise BadAnswerError(f"/metrics: expected each bucket of {_DURATIONS} to hold those before it")
    return PodMetrics(plain, rejections, buckets)


def _add(found: dict[K, float], key: K, value: float, name: str) -> None:
    if key in found:
        raise BadAnswerError(f"/metrics: expected {name} once for each reason and bound, got it twice")
    found[key] = value


def _count(sample: Sample) -> float:
    value = number(sample.value)
    if value is None or value < 0:
        raise BadAnswerError(f"/metrics: expected {sample.name} to be a count, got {sample.value}")
    return value


def _wanted_lines(body: bytes) -> list[str]:
    lines, parsed = [], 0
    for count, match in enumerate(_LINE.finditer(body), start=1):
        line = match.group()
        if count > _MOST_LINES or len(line) > _LONGEST_LINE:
            bounds = f"{_MOST_LINES} lines of at most {_LONGEST_LINE} bytes"
            raise BadAnswerError(f"/metrics: expected at most {bounds}, got more")
        if not line.startswith(_DURATIONS.encode()) or all(label in line for label in _JUDGED):
            lines.append(line.decode(errors="replace"))
            parsed += len(line)
            if parsed > _MOST_PARSED_BYTES:
                raise BadAnswerError(f"/metrics: expected at most {_MOST_PARSED_BYTES} bytes of needed lines, got more")
    if not lines:
        raise BadAnswerError(f"/metrics: expected the service's metrics, got {_excerpt(body)}")
    return lines


def number(value: object) -> float | None:
    """Return a number that a pod reports, None if it is none, or too large to count with."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= LARGEST_COUNT:
        return None
    return float(value)


def fraction(value: object) -> float | None:
    """Return a number from 0 to 1, None for anything else."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def text(value: object) -> str | None:
    """Return a short text that can be encoded, None for anything else; JSON may contain half of a surrogate pair."""
    if not isinstance(value, str) or not value:
        return None
    return value[:_LONGEST_TEXT].encode(errors="replace").decode()


def describe(error: BaseException) -> str:
    """Return in one line why a pod gave no usable response."""
    if isinstance(error, BadAnswerError):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    # The HTTP client quotes what the pod has sent.
    return one_line(f"{type(error).__name__}: {error}".rstrip(": "))


def parse_json(path: str, body: bytes, *, largest: int = LARGEST_JSON) -> Mapping[str, Any]:
    """Return a JSON object of at most `largest` bytes.

    Raises:
        BadAnswerError: it is none, or too large; the message names `path` and quotes the first bytes.
    """
    if len(body) > largest:
        raise BadAnswerError(f"{path}: expected at most {largest} bytes, got more")
    try:
        answer = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"{path}: expected JSON, got {_excerpt(body)}") from error
    if not isinstance(answer, dict):
        raise BadAnswerError(f"{path}: expected a JSON object, got {_excerpt(body)}")
    return answer


def _no_constant(value: str) -> float:
    raise ValueError(f"{value} is no JSON")


def _excerpt(body: bytes) -> str:
    return repr(body[:60].decode(errors="replace")) if body else "nothing"
