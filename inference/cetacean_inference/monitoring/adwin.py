"""ADWIN, by river's implementation in Rust.

`river.drift.ADWIN` adds little to it, but its package imports scipy and scikit-learn: more than half of the imports'
time when a pod starts, and 75 MB of its memory.
"""

from __future__ import annotations

from typing import Final

from river._river_rust.drift import AdaptiveWindowing

CLOCK: Final = 32
"""Values after which it searches for a change; this and the rest are river's defaults."""
MAX_BUCKETS: Final = 5
MIN_WINDOW_LENGTH: Final = 5
GRACE_PERIOD: Final = 10


class Adwin:
    """Detects changes of a mean; begins again with the value after a change.

    Args:
        delta: probability of a change that is none.
    """

    def __init__(self, *, delta: float) -> None:
        self._delta = delta
        self._changed = False
        self._window = self._new()

    @property
    def width(self) -> int:
        """Number of values since the last change."""
        return int(self._window.get_width())

    @property
    def mean(self) -> float | None:
        """Mean of these values, None without any."""
        return float(self._window.get_total() / self.width) if self.width else None

    def update(self, value: float) -> bool:
        """Add a value; return true if it shows a change."""
        if self._changed:
            self._window = self._new()
        self._changed = bool(self._window.update(value))
        return self._changed

    def _new(self) -> AdaptiveWindowing:
        return AdaptiveWindowing(
            delta=self._delta,
            clock=CLOCK,
            max_buckets=MAX_BUCKETS,
            min_window_length=MIN_WINDOW_LENGTH,
            grace_period=GRACE_PERIOD,
        )
