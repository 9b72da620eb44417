"""Numbers in HTTP headers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

MAX_DIGITS: Final = 18
"""A longer number is no size and no time, and Python refuses to convert very long ones."""


def decimal_header(headers: Mapping[str, str], name: str) -> int | None:
    """A header's value as a number; None if the header is absent or not a plain decimal number."""
    text = headers.get(name)
    return None if text is None else decimal(text.strip())


def decimal(text: str) -> int | None:
    """A plain decimal number; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None


def retry_after(headers: Mapping[str, str], *, now: dt.datetime | None = None) -> float | None:
    """The seconds of `Retry-After`, which is a number or a date; None if it is absent or neither.

    Args:
        headers: of an answer.
        now: the time that a date is compared with; the present by default.
    """
    if (text := headers.get("Retry-After")) is None:
        return None
    if (seconds := decimal(text.strip())) is not None:
        return float(seconds)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is one of UTC, as HTTP has no other.
    date = date if date.tzinfo else date.replace(tzinfo=dt.UTC)
    return max(0.0, (date - (now or dt.datetime.now(dt.UTC))).total_seconds())
