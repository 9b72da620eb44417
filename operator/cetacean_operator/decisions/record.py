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

Deployment = Mapping[str, Any]


class _Record(ApiModel):
    promotions: Annotated[tuple[HistoryEntry, ...], Field(min_length=1)]
    """The last one, and those before it that were not told of yet; newest first."""
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
    newest, *older = status.history
    text = _annotation(deployment)
    live = _read(text)
    if live is not None and (live.promotions[0], live.rollback) == (newest, status.rollback):
        return text
    untold = [entry for entry in older if entry not in told.history]
    return json.dumps(_Record(promotions=(newest, *untold), rollback=status.rollback).wire(), sort_keys=True)


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
    # Times are RFC 3339 in UTC, so they sort as text.
    since = history[0].at if history else ""
    untold = tuple(entry for entry in found.promotions if entry.at >= since and entry not in history)
    if untold[:1] != found.promotions[:1] or (history and _tells_the_same(untold[0], history[0])):
        return told
    return told.model_copy(update={"history": (*untold, *history)[:HISTORY_LENGTH], "rollback": found.rollback})


def _annotation(deployment: Deployment | None) -> str:
    annotations = ((deployment or {}).get("metadata") or {}).get("annotations") or {}
    return annotations.get(names.ANNOTATION_PROMOTION) or ""


def _read(text: str) -> _Record | None:
    try:
        return _Record.model_validate_json(text, by_alias=True, by_name=False) if text else None
    except ValidationError:
        return None


def _tells_of(entry: HistoryEntry, model: Model) -> bool:
    return (entry.model, entry.digest, entry.weights_url) == (model.name, model.sha256, model.weights_url)


def _tells_the_same(one: HistoryEntry, other: HistoryEntry) -> bool:
    return (one.model, one.digest, one.weights_url) == (other.model, other.digest, other.weights_url)
