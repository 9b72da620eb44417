"""How long a download may take: without a least rate, a server that sends a byte now and then would never end it."""

from __future__ import annotations

import time

from cetacean_inference.settings import FetchSettings


class Pace:
    """The time of one download: a time to begin with, and what its bytes need at the least rate.

    So it is bounded for each file, whatever a server does, by what `max_bytes` need.

    Args:
        settings: the least rate, and from when on it counts.
    """

    def __init__(self, settings: FetchSettings) -> None:
        self._rate = settings.min_bytes_per_second
        self._grace = settings.min_rate_after_seconds
        self.longest_seconds = self._grace + settings.max_bytes / self._rate
        self.begin(0)

    def begin(self, received: int) -> None:
        """Begin a download of which so many bytes are there already."""
        self._begun = time.monotonic()
        self._first = self._most = received

    def restart(self) -> None:
        """Count from the file's first byte on, as those that were there are asked for again."""
        self._first = 0

    def reach(self, received: int) -> None:
        """Count the bytes up to this one; those that came before, in another attempt, count once."""
        self._most = max(self._most, received)

    def remaining(self) -> float:
        """Return the seconds that are left; 0 or less if it is too slow."""
        return self._grace + self._received / self._rate - self._elapsed

    def __str__(self) -> str:
        return (
            f"expected at least {self._rate} bytes per second after {self._grace:g} s, "
            f"got {self._received} bytes in {self._elapsed:.0f} s"
        )

    @property
    def _received(self) -> int:
        return self._most - self._first

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begun
