"""The candidates that were removed and are not tried again, newest first, of bounded number.

Their order is that in which they were removed, whatever their times say: if a clock that was set back made the newest
one the oldest, it would be dropped, and tried again without end.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from cetacean_operator.api.candidate import MOST_RETURNED, ReturnedCandidate

ReturnedCandidates = tuple[ReturnedCandidate, ...]


def add_returned(known: ReturnedCandidates, new: ReturnedCandidate) -> ReturnedCandidates:
    """Return the candidates with one that is removed now; one that is known already stays as it is."""
    return known if _key(new) in map(_key, known) else _each_once((new, *known))


def merge_returned(recorded: ReturnedCandidates, known: ReturnedCandidates) -> ReturnedCandidates:
    """Return the candidates of the Deployment's record and of the status, each once.

    The record is written first, and is behind after `kubectl rollout undo`. The one that has the other's newest is
    ahead. If none is, they take turns, so that neither drops what is newest in the other.
    """
    if not known or _key(known[0]) in map(_key, recorded):
        return _each_once((*recorded, *known))
    if not recorded or _key(recorded[0]) in map(_key, known):
        return _each_once((*known, *recorded))
    return _each_once(one for pair in zip_longest(recorded, known) for one in pair if one is not None)


def _each_once(candidates: Iterable[ReturnedCandidate]) -> ReturnedCandidates:
    found: dict[tuple[str, str, str], ReturnedCandidate] = {}
    for one in candidates:
        found.setdefault(_key(one), one)
    return tuple(found.values())[:MOST_RETURNED]


def _key(one: ReturnedCandidate) -> tuple[str, str, str]:
    # With the reason: without stages only a rollout that passed its deadline counts, whatever its stages found before.
    return one.model, one.rollout, one.reason
