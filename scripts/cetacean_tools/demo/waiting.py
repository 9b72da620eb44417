"""Waiting for something to become so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from cetacean_tools.workspace import ToolError

T = TypeVar("T")

_INTERVAL = 0.25


class NotSoError(ToolError):
    """What was waited for did not come."""


def until(what: str, probe: Callable[[], T], *, within: float = 120.0) -> T:
    """Call `probe` until what it returns is true, and return that.

    Args:
        what: for the message.
        probe: asks the cluster; an exception is not caught.
        within: seconds.

    Raises:
        NotSoError: it did not become so; the message holds what was seen last.
    """
    deadline = time.monotonic() + within
    while not (seen := probe()):
        if time.monotonic() > deadline:
            raise NotSoError(f"waited {within:.0f} s for {what}, last seen: {seen!r}")
        time.sleep(_INTERVAL)
    return seen
