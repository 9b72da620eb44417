"""Wait for a condition by polling."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from cetacean_tools.workspace import ToolError

T = TypeVar("T")

_INTERVAL = 0.25


class NotSoError(ToolError):
    """The condition did not become true in time."""


def until(what: str, probe: Callable[[], T], *, within: float = 120.0, shown: Callable[[], object] | None = None) -> T:
    """Call `probe` until it returns a true value, and return that.

    Args:
        what: names the condition in the message.
        probe: reads the cluster; its exceptions are not caught.
        within: seconds.
        shown: reads what the message of the error shows; the probe's last value if None.

    Raises:
        NotSoError: it did not in time; the message says what was there instead.
    """
    deadline = time.monotonic() + within
    while not (seen := probe()):
        if time.monotonic() > deadline:
            raise NotSoError(f"waited {within:.0f} s for {what}, last seen: {shown() if shown else seen}")
        time.sleep(_INTERVAL)
    return seen
