"""Parse the responses of pods: they come from outside and may contain anything."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

LARGEST_COUNT: Final = 2**53
"""Beyond it floats cannot count."""
_DURATIONS = "cetacean_inference_request_duration_seconds_bucket"
# The time of an archive depends on the number of its pictures, and a rejected request takes no time.
_JUDGED = ('endpoint="/v1/predict-single"', 'status="200"')
_WANTED = frozenset(
    {
        "predictions_total",
        "rejections_total",
        "rejections_by_reason",
        "rejections_by_reason_total",
        "requests_total",
        "errors_total",
        "cetacean_score_avg",
        "availability_percent",
    }
)


class PodMetrics(NamedTuple):
    """The metrics of a pod that decisions need; values that are not finite are left out."""

    plain: dict[str, float]
    """By name."""
    rejections: dict[str, float]
    """By reason."""
    durations: tuple[tuple[float, float], ...]
    """Answers to single pictures by the seconds they took at most: bound and count, ascending, the last bound inf."""


class BadAnswerError(Exception):
    """A response that cannot be used."""


def parse_json(path: str, body: bytes) -> Mapping[str, Any]:
    """Read an object.

    Raises:
        BadAnswerError: it is none; the message names `path` and quotes the first bytes.
    """
    try:
        answer = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"{path}: expected JSON, got {_excerpt(body)}") from error
    if not isinstance(answer, dict):
        raise BadAnswerError(f"{path}: expected a JSON object, got {_excerpt(body)}")
    return answer


def parse_metrics(body: bytes) -> PodMetrics:
    """Read the needed metrics of a Prometheus exposition.

    Raises:
        BadAnswerError: it is no exposition, or not the service's.
    """
    # Only the needed lines are parsed: the histograms of a busy pod would block the event loop.
    lines = [line for line in body.decode(errors="replace").splitlines() if _is_wanted(line)]
    plain: dict[str, float] = {}
    rejections: dict[str, float] = {}
    durations: dict[float, float] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                if not math.isfinite(sample.value):
                    continue
                if sample.name == _DURATIONS:
                    durations[float(sample.labels["le"])] = sample.value
                elif sample.name.startswith("rejections_by_reason"):
                    rejections[sample.labels.get("reason", "")] = sample.value
                else:
                    plain[sample.name] = sample.value
    except (ValueError, KeyError, IndexError) as error:
        raise BadAnswerError(f"/metrics: expected Prometheus text, got {_excerpt(body)}") from error
    if not lines:
        raise BadAnswerError(f"/metrics: expected the service's metrics, got {_excerpt(body)}")
    return PodMetrics(plain, rejections, tuple(sorted(durations.items())))


def number(value: object) -> float | None:
    """Return a number that a pod reports, None if it is none, or too large to count with."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= LARGEST_COUNT:
        return None
    return float(value)


def fraction(value: object) -> float | None:
    """Return a number from 0 to 1, None for anything else."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def describe(error: BaseException) -> str:
    """Return in one line why a pod gave no usable response."""
    if isinstance(error, BadAnswerError):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _is_wanted(line: str) -> bool:
    name, _, labels = line.partition("{")
    if name == _DURATIONS:
        return all(label in labels for label in _JUDGED)
    return name.split(" ", 1)[0] in _WANTED


def _no_constant(value: str) -> float:
    raise ValueError(f"{value} is no JSON")


def _excerpt(body: bytes) -> str:
    return repr(body[:60].decode(errors="replace")) if body else "nothing"
