"""Why a Deployment serves its model, in an annotation of the Deployment: one write changes the model and its reason.

If the operator ends before it has written the status, the next one finds either both or neither (docs/decisions, 5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from cetacean_operator.api import names
from cetacean_operator.api.base import ApiModel
from cetacean_operator.api.candidate import MOST_RETURNED, ReturnedCandidate
from cetacean_operator.api.objects import annotations_of
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HISTORY_LENGTH, HistoryEntry, Rollback, Status
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.record_budget import LARGEST_RECORD, Recorded, reductions
from cetacean_operator.decisions.returned_candidates import merge_returned
from cetacean_registry.digests import canonical_digest

Deployment = Mapping[str, Any]


class _Record(ApiModel):
    promotions: Annotated[tuple[HistoryEntry, ...], Field(min_length=1)]
    """The last one, and those before it that no status has yet; newest first."""
    follows: str | None = None
    """Digest of the promotion before these, the last one in the status. Times are no use: clocks are set back."""
    rollback: Rollback | None = None
    returned: Annotated[tuple[ReturnedCandidate, ...], Field(max_length=MOST_RETURNED)] = ()
    """Candidates that are not tried again."""


def write_promotion_record(next_status: Status, last_status: Status, deployment: Deployment | None) -> str | None:
    """Return the annotation for the Deployment, None if nothing was ever promoted.

    Args:
        next_status: with the history, the rollback and the returned candidates to be recorded.
        last_status: as it was written last.
        deployment: the live one, whose annotation stays if it says the same.
    """
    history = next_status.history
    if not history:
        return None
    length, known = len(history), last_status.history
    unwritten = next(number for number in range(length + 1) if known[: length - number] == history[number:])
    count = max(1, unwritten)
    wanted = Recorded(history[:count], next_status.returned, next_status.rollback)
    recorded, text = _within_bound(wanted, follows=_digest(history[count:]))
    written = annotations_of(deployment).get(names.ANNOTATION_PROMOTION)
    same = recorded.promotions[0], recorded.rollback, recorded.returned
    if (live := _parse(written)) and (live.promotions[0], live.rollback, live.returned) == same:
        return written
    return text


def read_promotion_record(last_status: Status, deployment: Deployment | None, deployed: Model | None) -> Status:
    """Return the last status with the promotions and the returned candidates that only the Deployment records.

    Args:
        last_status: as it was written last.
        deployment: the live one.
        deployed: the model in its pod template.
    """
    history = last_status.history
    record = _parse(annotations_of(deployment).get(names.ANNOTATION_PROMOTION))
    if record is not None:
        returned = merge_returned(record.returned, last_status.returned)
        last_status = last_status.model_copy(update={"returned_candidates": returned or None})
    # `kubectl rollout undo` brings an earlier annotation back, and people may write another template beside it.
    if record is None or deployed is None or not same_model(record.promotions[0], deployed):
        return last_status
    if history and history[0] == record.promotions[0]:
        # Another controller, or a version that cannot read it, may have removed it from the status.
        return last_status.model_copy(update={"rollback": last_status.rollback or record.rollback})
    if history and record.follows != _digest(history):
        return last_status
    promotions = (*record.promotions, *history)[:HISTORY_LENGTH]
    return last_status.model_copy(update={"history": promotions, "rollback": record.rollback})


def _within_bound(wanted: Recorded, *, follows: str | None) -> tuple[Recorded, str]:
    """Return what is recorded, and the annotation; less than is wanted if that would be too large."""
    found = ((recorded, _text(recorded, follows)) for recorded in reductions(wanted))
    return next((recorded, text) for recorded, text in found if len(text.encode()) <= LARGEST_RECORD)


def _text(recorded: Recorded, follows: str | None) -> str:
    record = _Record(
        promotions=recorded.promotions, follows=follows, rollback=recorded.rollback, returned=recorded.returned
    )
    wire = record.wire()
    if not record.returned:
        del wire["returned"]  # nothing changes for a resource without stages
    # Not as ASCII: an escape would take up to twelve bytes for a character.
    return json.dumps(wire, sort_keys=True, ensure_ascii=False)


def _digest(history: tuple[HistoryEntry, ...]) -> str | None:
    """Return a digest of the newest entry, None if there is none."""
    return canonical_digest(history[0].wire())[:16] if history else None


def _parse(text: str | None) -> _Record | None:
    try:
        return _Record.model_validate_json(text or "")
    except ValidationError:
        return None
