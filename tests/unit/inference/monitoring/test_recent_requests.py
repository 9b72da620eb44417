"""Availability and mean latency of the newest requests."""

from __future__ import annotations

import math

from cetacean_inference.monitoring.recent_requests import RECENT, RecentRequests


def test_without_requests_nothing_has_failed_and_there_is_no_mean() -> None:
    recent = RecentRequests()
    assert recent.availability_percent == 100.0
    assert math.isnan(recent.mean_milliseconds)


def test_only_the_newest_requests_count() -> None:
    recent = RecentRequests()
    recent.add(failed=True, seconds=RECENT + 1.0)
    for _ in range(RECENT - 1):
        recent.add(failed=False, seconds=1.0)
    assert recent.availability_percent == 100 * (RECENT - 1) / RECENT
    assert recent.mean_milliseconds == 2000.0
    recent.add(failed=False, seconds=1.0)
    assert recent.availability_percent == 100.0
    assert recent.mean_milliseconds == 1000.0
