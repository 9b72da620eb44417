"""The pictures that a candidate has answered for a comparison: one that two pods send is compared once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

MAX_REMEMBERED: Final = 20_000
"""Pictures; the oldest are forgotten first."""


class ComparedPictures:
    """Remembers digests by the run that they belong to; thread safe."""

    def __init__(self, *, max_remembered: int = MAX_REMEMBERED) -> None:
        """Remember nothing yet."""
        self._max_remembered = max_remembered
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add(self, run: str, sha256: str) -> bool:
        """Remember a picture; return false if the run has it already."""
        key = (run, sha256)
        with self._lock:
            if key in self._remembered:
                return False
            self._remembered[key] = None
            if len(self._remembered) > self._max_remembered:
                self._remembered.popitem(last=False)
            return True

    def forget(self, run: str, sha256: str) -> None:
        """Forget a picture that was not answered: another pod may send it."""
        with self._lock:
            self._remembered.pop((run, sha256), None)
