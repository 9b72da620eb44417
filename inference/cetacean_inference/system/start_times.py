"""The parts of a process's start and their seconds: for its log, and for the metric `start_seconds`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Self, get_args

StartPart = Literal["process", "fetch", "verify", "convert", "load", "warm_up"]
"""In their order: the interpreter and its imports, the download, the digests of files that were there, the conversion
for OpenVINO, the compilation with its comparison, the first picture."""


class StartTimes:
    """Measures the parts in one thread.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._seconds: dict[StartPart, float] = {}
        self._inside = 0.0
        """Seconds of parts that were measured inside the present one."""

    @classmethod
    def of_process(cls) -> Self:
        """Return the times of a process whose own start is over."""
        times = cls()
        times._seconds["process"] = process_seconds()
        return times

    @property
    def seconds(self) -> dict[StartPart, float]:
        """Seconds of each part that was measured, in their order."""
        return {part: self._seconds[part] for part in get_args(StartPart) if part in self._seconds}

    @contextmanager
    def measure(self, part: StartPart) -> Iterator[None]:
        """Add the time of the block to a part, without that of parts measured inside it."""
        begun, outside, self._inside = self._clock(), self._inside, 0.0
        try:
            yield
        finally:
            whole = self._clock() - begun
            self._seconds[part] = self._seconds.get(part, 0.0) + whole - self._inside
            self._inside = outside + whole

    def __str__(self) -> str:
        """Return the sum and all parts, as the log has them."""
        parts = ", ".join(f"{part} {seconds:.3f} s" for part, seconds in self.seconds.items())
        return f"{sum(self._seconds.values()):.3f} s: {parts}"


def process_seconds() -> float:
    """Return the seconds since this process was started; 0 if the system has no /proc."""
    try:
        # The program's name, in brackets, may hold spaces.
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0
