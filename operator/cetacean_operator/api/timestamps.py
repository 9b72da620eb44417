"""Times as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def timestamp(now: datetime) -> str:
    """Return RFC 3339 in UTC with seconds, as `metav1.Time`."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str | None) -> datetime | None:
    """Return the time of a timestamp in UTC, None if the text is none. A time without a zone is read as UTC."""
    try:
        then = datetime.fromisoformat(text or "")
        return then.astimezone(UTC) if then.tzinfo else then.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # with its zone, a time may lie before the year 1 or after 9999 in UTC
        return None


def time_after(text: str | None, seconds: float) -> datetime | None:
    """Return the time so many seconds after a timestamp, None if the text is none, or if no such time exists."""
    try:
        return then + timedelta(seconds=seconds) if (then := parse_timestamp(text)) else None
    except OverflowError:
        return None


def seconds_since(text: str | None, now: datetime) -> float | None:
    """Return the age of a timestamp in seconds, None if the text is no timestamp.

    The age is negative if the timestamp lies ahead of `now`: clocks are set back.
    """
    then = parse_timestamp(text)
    return (now - then).total_seconds() if then else None
