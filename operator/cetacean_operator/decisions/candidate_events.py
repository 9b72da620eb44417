"""Events about a candidate that runs stages: it begins, passes one, is held, is removed."""

from __future__ import annotations

from collections.abc import Iterator

from cetacean_operator.api import names
from cetacean_operator.api.candidate import CandidateStatus
from cetacean_operator.api.status import Status
from cetacean_operator.decisions.plan import EventSpec

_ACTION = "Stage"


def candidate_events(last_status: Status, next_status: Status) -> Iterator[EventSpec]:
    """Yield the events for the transitions of the candidate; its promotion has an event of its own."""
    found = next_status.candidate
    if found is None:
        return
    last = last_status.candidate
    if last is not None and (last.model, last.rollout) != (found.model, found.rollout):
        last = None
    name = f"{found.model} {found.version}"
    passed_before = len(last.passed) if last else 0
    for number, stage in enumerate(found.passed[passed_before:], start=passed_before + 1):
        message = f"{name} passed stage {number} of {found.stages} ({stage.kind}): {stage.message}"
        yield EventSpec("Normal", "StagePassed", message, _ACTION)
    if found.stage is not None and (last is None or last.stage != found.stage) and not _is_over(next_status):
        message = f"{name} begins stage {found.stage} of {found.stages} ({found.kind})"
        yield EventSpec("Normal", "StageBegan", message, _ACTION)
    if (reason := _is_over(next_status)) and (_is_over(last_status) != reason or not _same_verdict(last, found)):
        yield EventSpec("Warning", reason, f"{name}: {found.verdict}: {found.message}", _ACTION)


def _same_verdict(last: CandidateStatus | None, found: CandidateStatus) -> bool:
    return last is not None and last.verdict == found.verdict


def _is_over(status: Status) -> str | None:
    """Return the reason of RegistryDiverged while a candidate needs a person."""
    condition = status.condition(names.REGISTRY_DIVERGED)
    reasons = (names.CANDIDATE_HELD, names.CANDIDATE_RETURNED)
    return condition.reason if condition and condition.reason in reasons else None
