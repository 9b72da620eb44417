"""The last promotions, newest first."""

from __future__ import annotations

from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HISTORY_LENGTH, HistoryEntry


def extend(
    history: tuple[HistoryEntry, ...], target: Model | None, promotion: tuple[str, str] | None, at: str
) -> tuple[HistoryEntry, ...]:
    """Put a promotion before the others, unless it is the one that stands first already.

    Args:
        history: newest first.
        target: the model that is to serve.
        promotion: reason and words, None where nothing is promoted.
        at: the time now.
    """
    if target is None or promotion is None:
        return history
    reason, why = promotion
    entry = HistoryEntry(
        model=target.name,
        version=target.version,
        digest=target.sha256,
        weights_url=target.weights_url,
        at=at,
        reason=reason,
        why=why,
    )
    if history:
        newest = history[0]
        if (newest.model, newest.digest, newest.weights_url) == (entry.model, entry.digest, entry.weights_url):
            return history
    return (entry, *history)[:HISTORY_LENGTH]
