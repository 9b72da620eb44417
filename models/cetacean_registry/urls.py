"""URLs as messages, events and logs may show them: without passwords and without queries, which may be signatures."""

from __future__ import annotations

import re
from typing import Final

_USERINFO: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@]*(?:@[^\s/?#@]*)*@")
_QUERY: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?'\"<>]*)\?[^\s'\"<>]*")


def redacted(text: str) -> str:
    """Return a URL, or a text with URLs, with `…` in place of each `user:password` and each query."""
    return _QUERY.sub(r"\1?…", _USERINFO.sub(r"\1…@", text))
