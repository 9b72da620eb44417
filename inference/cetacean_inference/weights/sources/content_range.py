"""The header Content-Range of an answer that has a part of a file (RFC 9110, 14.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from cetacean_inference.http_headers import MAX_DIGITS, decimal_header

_RANGE: Final = re.compile(rf"bytes ([0-9]{{1,{MAX_DIGITS}}})-([0-9]{{1,{MAX_DIGITS}}})/([0-9]{{1,{MAX_DIGITS}}})")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The bytes of a file that an answer has."""

    first: int
    last: int
    total: int
    """Bytes of the whole file."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self | None:
        """Return the range of an answer; None if it is absent or unknown, or contradicts itself or Content-Length."""
        match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if match is None:
            return None
        first, last, total = map(int, match.groups())
        length = decimal_header(headers, "Content-Length")
        fits = first <= last < total and length in (None, last - first + 1)
        return cls(first, last, total) if fits else None
