"""Validators of files, ETags and dates: which of them a request can send back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime


def sendable(validator: str | None) -> str | None:
    """Return a validator that a header can have, None for any other.

    A server may send an ETag of bytes that are not ASCII, and other pods may write the notes of a shared cache.
    """
    return validator if validator and validator.isascii() and validator.isprintable() else None


def distinct_date(headers: Mapping[str, str]) -> str | None:
    """Return the Last-Modified of an answer if every later change of the file has another one, else None.

    It has whole seconds, so a file that changed in the second of the answer may change again without another date.
    """
    modified, now = headers.get("Last-Modified"), headers.get("Date")
    if not modified or not now:
        return None
    try:
        distinct = parsedate_to_datetime(now) - parsedate_to_datetime(modified) >= timedelta(seconds=1)
    except (ValueError, TypeError, OverflowError):
        return None  # no dates, or one of them without a time zone
    return modified if distinct else None
