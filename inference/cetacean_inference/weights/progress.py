"""Log lines about the progress of a download."""

from __future__ import annotations

import logging
import time

from cetacean_inference.settings import MIB

logger = logging.getLogger(__name__)


class Progress:
    """Logs a line at intervals, and one at the end.

    Args:
        name: the URL as the user knows it.
        offset: bytes that were there before.
        total: bytes of the whole file, None if unknown.
        interval_seconds: time between two lines.
    """

    def __init__(self, name: str, offset: int, total: int | None, *, interval_seconds: float) -> None:
        self._name = name
        self._first = offset
        self._total = total
        self._interval = interval_seconds
        self._begun = self._logged_at = time.monotonic()

    def update(self, offset: int) -> None:
        """Log a line if the interval is over; `offset` is the number of bytes received."""
        if (now := time.monotonic()) - self._logged_at >= self._interval:
            self._logged_at = now
            part = f" of {self._total / MIB:.1f} MiB ({100 * offset // self._total} %)" if self._total else " MiB"
            logger.info("%s: %.1f%s, %.1f MiB/s", self._name, offset / MIB, part, self._rate(offset))

    def finish(self, offset: int) -> None:
        """Log the last line."""
        logger.info("%s: complete, %.1f MiB, %.1f MiB/s", self._name, offset / MIB, self._rate(offset))

    def _rate(self, offset: int) -> float:
        return (offset - self._first) / MIB / max(time.monotonic() - self._begun, 1e-6)
