"""The newest pictures about which the served model and the candidate disagree: digests and both answers."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any, Final

from cetacean_inference.shadow.answers import Answer

MAX_LISTED: Final = 200
MAX_LISTED_BYTES: Final = 256 * 1024
"""Of the list as JSON; the names in answers come from weights, and may be long."""


class Disagreements:
    """A list within bounds of items and of bytes: the oldest item goes first. Used in the event loop only."""

    def __init__(self) -> None:
        """Create an empty list."""
        self._listed: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._bytes = 0

    def clear(self) -> None:
        """Remove all items."""
        self._listed.clear()
        self._bytes = 0

    def add(self, sha256: str, served: Answer, candidate: Answer) -> None:
        """Add a picture."""
        if (earlier := self._listed.pop(sha256, None)) is not None:
            self._bytes -= _size(earlier)
        item = {"image_sha256": sha256, "served": served.report(), "candidate": candidate.report()}
        self._listed[sha256] = item
        self._bytes += _size(item)
        while len(self._listed) > MAX_LISTED or self._bytes > MAX_LISTED_BYTES:
            _, removed = self._listed.popitem(last=False)
            self._bytes -= _size(removed)

    def report(self) -> list[dict[str, Any]]:
        """Return the list, oldest first."""
        return list(self._listed.values())


def _size(item: dict[str, Any]) -> int:
    return len(json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass"))
