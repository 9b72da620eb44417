"""The parts that the record of a promotion leaves out if it would be too large for an annotation.

The API server takes 256 KiB for all annotations of an object, and one approval may have 3072 characters of text.
Without a bound the texts of approvers could make a Deployment that cannot be written: its model is never promoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from cetacean_operator.api.candidate import PassedStage, PersonDecision, ReturnedCandidate
from cetacean_operator.api.status import GivenApproval, HistoryEntry, Release, Rollback

LARGEST_RECORD: Final = 128 * 1024
"""Bytes; half of what the API server takes."""
_LONGEST: Final = (4096, 1024, 128, 0)
"""Characters of a text, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The parts of a record that have texts of people, or of pods."""

    promotions: tuple[HistoryEntry, ...]
    """Newest first."""
    returned: tuple[ReturnedCandidate, ...]
    """Newest first."""
    rollback: Rollback | None


def reductions(recorded: Recorded) -> Iterator[Recorded]:
    """Yield what may be recorded, then less and less of it; the last one is always within the bound.

    The status gets its promotions from the record, so that only what is too long is cut. Texts go first, because
    nothing is decided by them. Then the oldest candidates go, which the status has, and the oldest promotions.
    """
    for longest in _LONGEST:
        recorded = _with_texts(recorded, longest)
        yield recorded
    while recorded.returned:
        recorded = replace(recorded, returned=recorded.returned[:-1])
        yield recorded
    while len(recorded.promotions) > 1:
        recorded = replace(recorded, promotions=recorded.promotions[:-1])
        yield recorded
    bare = {"release": None, "stages": None, "decision": None}
    yield replace(recorded, promotions=tuple(one.model_copy(update=bare) for one in recorded.promotions))


def _with_texts(recorded: Recorded, longest: int) -> Recorded:
    rollback = recorded.rollback
    return Recorded(
        promotions=tuple(_promotion(one, longest) for one in recorded.promotions),
        returned=tuple(one.model_copy(update={"why": _cut(one.why, longest)}) for one in recorded.returned),
        rollback=rollback.model_copy(update={"why": _cut(rollback.why, longest)}) if rollback else None,
    )


def _promotion(entry: HistoryEntry, longest: int) -> HistoryEntry:
    return entry.model_copy(
        update={
            "why": _cut(entry.why, longest),
            "release": _release(entry.release, longest) if entry.release else None,
            "stages": tuple(_stage(one, longest) for one in entry.stages) if entry.stages else entry.stages,
            "decision": _decision(entry.decision, longest) if entry.decision else None,
        }
    )


def _release(release: Release, longest: int) -> Release:
    return release.model_copy(update={"approvals": tuple(_approval(one, longest) for one in release.approvals)})


def _approval(approval: GivenApproval, longest: int) -> GivenApproval:
    evidence, reason = _cut_or_none(approval.evidence, longest), _cut_or_none(approval.reason, longest)
    return approval.model_copy(update={"evidence": evidence, "reason": reason})


def _stage(stage: PassedStage, longest: int) -> PassedStage:
    return stage.model_copy(update={"message": _cut(stage.message, longest)})


def _decision(decision: PersonDecision, longest: int) -> PersonDecision:
    return decision.model_copy(update={"why": _cut_or_none(decision.why, longest)})


def _cut_or_none(text: str | None, longest: int) -> str | None:
    return _cut(text or "", longest) or None


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[: longest - 1]}…" if longest else ""
