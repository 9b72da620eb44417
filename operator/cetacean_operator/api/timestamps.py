"""Times as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(now: datetime) -> str:
    """Return RFC 3339 in UTC with seconds, as `metav1.Time`."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(text: str | None, now: datetime) -> float | None:
    """Return the age of a timestamp in seconds, None if the text is no timestamp.

    A time without a zone is read as UTC. The age is negative if the timestamp lies ahead of `now`: clocks are set back.
    """
    try:
        then = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
