"""URLs as messages, events and logs may show them: without passwords and without queries, which may be signatures."""

from __future__ import annotations

import re
from typing import Final

# Linear in the text: each `://` ends what is matched from the one before it, or is consumed with it.
_USERINFO: Final = re.compile(r"://[^\s/?#@]*+(?:@[^\s/?#@]*+)*@")
_QUERY: Final = re.compile(r"(://[^\s?'\"<>]*+)(\?[^\s'\"<>]*+)?")


def redacted(text: str) -> str:
    """Return a URL, or a text with URLs, with `…` in place of each `user:password` and each query."""
    return _QUERY.sub(lambda found: found[1] + ("?…" if found[2] else ""), _USERINFO.sub("://…@", text))
