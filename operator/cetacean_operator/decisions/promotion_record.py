"""Why a Deployment serves what it serves, written on the Deployment itself: the reason and the deed are one write.

Whoever comes after an operator that ended between the two finds either both or neither (docs/decisions, 5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from cetacean_operator.api import names
from cetacean_operator.api.base import ApiModel
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HISTORY_LENGTH, HistoryEntry, Rollback, Status
from cetacean_registry import canonical_digest

Deployment = Mapping[str, Any]


class _Record(ApiModel):
    promotions: Annotated[tuple[HistoryEntry, ...], Field(min_length=1)]
    """The last one, and those before it that were not told of yet; newest first."""
    follows: str | None = None
    """Digest of the promotion before these, the last that is told of. Times say nothing: clocks are set back."""
    rollback: Rollback | None = None


def record(status: Status, told: Status, deployment: Deployment | None) -> str | None:
    """Return the annotation for a Deployment that is to serve what the status says; None where there is no reason.

    Args:
        status: with the history and the rollback that are to be told.
        told: as it was written last.
        deployment: the live one, whose annotation stays where it says the same.
    """
    if not status.history:
        return None
    history = status.history
    text = _annotation(deployment)
    live = _read(text)
    if live is not None and (live.promotions[0], live.rollback) == (history[0], status.rollback):
        return text
    length = len(history)
    untold = next(number for number in range(length + 1) if told.history[: length - number] == history[number:])
    count = max(1, untold)
    written = _Record(promotions=history[:count], follows=_digest(history[count:]), rollback=status.rollback)
    return json.dumps(written.wire(), sort_keys=True)


def recall(told: Status, deployment: Deployment | None, deployed: Model | None) -> Status:
    """Return the status with what the Deployment tells of promotions that the status does not know yet.

    Args:
        told: as it was written last.
        deployment: the live one.
        deployed: the model in its pod template.
    """
    found, history = _read(_annotation(deployment)), told.history
    # `kubectl rollout undo` brings an earlier annotation back, and people may write another template beside it.
    if found is None or deployed is None or not _tells_of(found.promotions[0], deployed):
        return told
    if history and found.follows != _digest(history):
        return told
    return told.model_copy(
        update={"history": (*found.promotions, *history)[:HISTORY_LENGTH], "rollback": found.rollback}
    )


def _digest(history: tuple[HistoryEntry, ...]) -> str | None:
    """Return what tells a history's newest entry from others."""
    return canonical_digest(history[0].wire())[:16] if history else None


def _annotation(deployment: Deployment | None) -> str:
    annotations = ((deployment or {}).get("metadata") or {}).get("annotations") or {}
    return annotations.get(names.ANNOTATION_PROMOTION) or ""


def _read(text: str) -> _Record | None:
    try:
        return _Record.model_validate_json(text, by_alias=True, by_name=False) if text else None
    except ValidationError:
        return None


def _tells_of(entry: HistoryEntry, model: Model) -> bool:
    if (entry.model, entry.digest) != (model.name, model.sha256):
        return False
    # The same bytes may have moved to another address since.
    return entry.digest is not None or entry.weights_url == model.weights_url
