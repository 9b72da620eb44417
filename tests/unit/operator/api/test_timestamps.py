"""Timestamps as Kubernetes writes them, and their age."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from support.operator_world import BEGIN

from cetacean_operator.api.timestamps import seconds_since, time_after, timestamp


def test_a_timestamp_is_in_utc_with_seconds() -> None:
    assert timestamp(BEGIN) == "2026-01-01T00:00:00Z"
    assert timestamp(BEGIN.astimezone(timezone(timedelta(hours=1)))) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("2025-12-31T23:59:30Z", 30.0),
        ("2025-12-31T23:59:30", 30.0),
        ("2026-01-01T01:00:00+01:00", 0.0),
        ("2026-01-01T00:01:00Z", -60.0),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_the_age_of_a_timestamp(text: str | None, age: float | None) -> None:
    assert seconds_since(text, BEGIN) == age


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("2025-12-31T23:59:30Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:30Z"),
        ("9999-12-31T23:59:59Z", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_time_after_a_timestamp(text: str | None, after: str | None) -> None:
    found = time_after(text, 30)
    assert (found and timestamp(found)) == after
