"""Availability and mean latency over the last requests."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

RECENT: Final = 1000
"""Number of requests over which availability and mean latency are computed."""


class RecentRequests:
    """The last `RECENT` requests; not thread safe. Sums are integers: they stay exact."""

    def __init__(self) -> None:
        self._requests: deque[tuple[bool, int]] = deque()
        self._failed = self._microseconds = 0

    def add(self, *, failed: bool, seconds: float) -> None:
        """Add a request, and drop the oldest if there are too many."""
        microseconds = round(seconds * 1e6)
        self._requests.append((failed, microseconds))
        self._failed += failed
        self._microseconds += microseconds
        if len(self._requests) > RECENT:
            old_failed, old_microseconds = self._requests.popleft()
            self._failed -= old_failed
            self._microseconds -= old_microseconds

    @property
    def availability_percent(self) -> float:
        """Share of requests that did not fail, 0..100; 100 without requests."""
        count = len(self._requests)
        return 100 * (count - self._failed) / count if count else 100.0

    @property
    def mean_milliseconds(self) -> float:
        """Mean time to answer; NaN without requests."""
        count = len(self._requests)
        return self._microseconds / 1000 / count if count else math.nan
