"""Numbers in HTTP headers."""

from __future__ import annotations

from collections.abc import Mapping


def decimal_header(headers: Mapping[str, str], name: str) -> int | None:
    """A header's value as a number; None if the header is absent or not a plain decimal number."""
    value = headers.get(name, "").strip()
    return int(value) if value.isascii() and value.isdecimal() else None
