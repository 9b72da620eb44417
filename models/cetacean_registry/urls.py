"""URLs as messages, events and logs may show them: without passwords and without queries, which may be signatures."""

from __future__ import annotations

import hashlib
import re
from typing import Final

# Linear in the text: each `://` ends what is matched from the one before it, or is consumed with it.
_USERINFO: Final = re.compile(r"://[^\s/?#@]*+(?:@[^\s/?#@]*+)*@")
_QUERY: Final = re.compile(r"(://[^\s?'\"<>]*+)(\?[^\s'\"<>]*+)?")

LONGEST_URL: Final = 2048
_WITHOUT_QUERY: Final = re.compile(r"\?redacted-[0-9a-f]{16}$")


def without_query(url: str) -> str:
    """Return a URL whose query is replaced by a digest of it: two URLs still differ, and it grants nothing.

    It is no longer than a URL may be. If the address must be cut for that, the digest covers it too.
    """
    address, mark, query = url.partition("?")
    if not mark or lacks_query(url):
        return url
    if len(short := _redacted(address, query)) <= LONGEST_URL:
        return short
    end = _redacted("", url)
    return f"{address[: LONGEST_URL - len(end)]}{end}"


def lacks_query(url: str) -> bool:
    """Return True if a URL comes from `without_query` and had a query: nothing can be downloaded from it."""
    return _WITHOUT_QUERY.search(url) is not None


def redacted(text: str) -> str:
    """Return a URL, or a text with URLs, with `…` in place of each `user:password` and each query."""
    return _QUERY.sub(lambda found: found[1] + ("?…" if found[2] else ""), _USERINFO.sub("://…@", text))


def _redacted(address: str, of: str) -> str:
    return f"{address}?redacted-{hashlib.sha256(of.encode()).hexdigest()[:16]}"
