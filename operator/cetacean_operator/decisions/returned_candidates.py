"""The candidates that were removed and are not tried again, newest first, of bounded number.

Their order is that in which they were removed, whatever their times say: if a clock that was set back made the newest
one the oldest, it would be dropped, and tried again without end.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Final

from cetacean_operator.api.candidate import MOST_RETURNED, PersonDecision, ReturnedCandidate
from cetacean_operator.api.spec import Model
from cetacean_operator.decisions.identity import Rollout, entry_id
from cetacean_operator.decisions.stage_input import StageInput

ReturnedCandidates = tuple[ReturnedCandidate, ...]
_LONGEST: Final = 4096


def retry_of(model: Model, decision: PersonDecision | None) -> str | None:
    """Return the time of a person's last decision if it lets this model try again, under whatever configuration."""
    is_about = decision is not None and (decision.decision, decision.model) == ("Retry", model.name)
    return decision.at if decision and is_about else None


def record_returned(
    model: Model, rollout: str, reason: str, why: str, *, given: StageInput, by: str | None = None
) -> ReturnedCandidate:
    """Return what is remembered of a candidate that is removed now.

    Args:
        model: the candidate.
        rollout: its weights and configuration.
        reason: of the verdict.
        why: the verdict in words.
        given: the time, and a person's last decision.
        by: the person who has aborted it.
    """
    return ReturnedCandidate(
        model=model.name,
        version=model.version,
        digest=model.sha256,
        entry=entry_id(model),
        rollout=rollout,
        reason=reason,
        why=why[:_LONGEST],
        at=given.at,
        by=by,
        retry=retry_of(model, given.decision),
    )


def find_returned(
    known: Iterable[ReturnedCandidate], rollout: Rollout, decision: PersonDecision | None
) -> ReturnedCandidate | None:
    """Return the record of a candidate that was removed last, None if it was not, or if it is to be tried again.

    The threshold and the calibration of the gate belong to what serves: another one is no reason to try again.

    Args:
        known: candidates that were removed, newest first.
        rollout: the candidate under the present configuration.
        decision: a person's last one.
    """
    model = rollout.model
    subject = model.name, entry_id(model)
    found = next((one for one in known if (one.model, one.entry) == subject), None)
    if found is None or decision is None or decision.rollout not in (found.rollout, rollout.id):
        return found
    return found if retry_of(model, decision) in (None, found.retry) else None


def add_returned(known: ReturnedCandidates, new: ReturnedCandidate) -> ReturnedCandidates:
    """Return the candidates with one that is removed now, in place of an earlier removal for the same reason."""
    return known if new in known else _each_once((new, *known))


def merge_returned(recorded: ReturnedCandidates, known: ReturnedCandidates) -> ReturnedCandidates:
    """Return the candidates of the Deployment's record and of the status, each once.

    The record is written first, and is behind after `kubectl rollout undo`. The one that has the other's newest is
    ahead. If none is, they take turns, so that neither drops what is newest in the other. Of two removals of one
    candidate for one reason, the later one counts.
    """
    latest: dict[tuple[str, str, str], ReturnedCandidate] = {}
    for one in (*recorded, *known):
        latest[_subject(one)] = max(one, latest.get(_subject(one), one), key=lambda found: found.at)
    recorded, known = (tuple(latest[_subject(one)] for one in candidates) for candidates in (recorded, known))
    if not known or _key(known[0]) in map(_key, recorded):
        return _each_once((*recorded, *known))
    if not recorded or _key(recorded[0]) in map(_key, known):
        return _each_once((*known, *recorded))
    return _each_once(one for pair in zip_longest(recorded, known) for one in pair if one is not None)


def _each_once(candidates: Iterable[ReturnedCandidate]) -> ReturnedCandidates:
    found: dict[tuple[str, str, str], ReturnedCandidate] = {}
    for one in candidates:
        found.setdefault(_subject(one), one)
    return tuple(found.values())[:MOST_RETURNED]


def _subject(one: ReturnedCandidate) -> tuple[str, str, str]:
    # With the reason: without stages only a rollout that passed its deadline counts, whatever its stages found before.
    return one.model, one.entry, one.reason


def _key(one: ReturnedCandidate) -> tuple[str, str, str, str | None]:
    return *_subject(one), one.retry
