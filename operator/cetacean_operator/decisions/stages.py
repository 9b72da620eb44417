"""The stages of a candidate: which one runs, what it has shown, and what happens next.

A pure machine. What it must remember stands in the record on the candidate's Deployment (`stage_record`) and, once a
candidate was removed, in the record on the resource's own Deployment (`promotion_record`); all else follows from the
spec, from what the pods report and from the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cetacean_operator.api import names
from cetacean_operator.api.candidate import (
    CandidateStatus,
    PassedStage,
    PersonDecision,
    ReturnedCandidate,
)
from cetacean_operator.api.spec import Spec
from cetacean_operator.api.stages import Canary, RolloutPolicy, Stage
from cetacean_operator.api.status import HistoryEntry
from cetacean_operator.api.timestamps import seconds_since
from cetacean_operator.decisions.canary_pods import candidate_replicas, impossible_canary
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.condition_state import ConditionState, ConditionStatus
from cetacean_operator.decisions.identity import Rollout, label
from cetacean_operator.decisions.returned_candidates import find_returned, record_returned, retry_of
from cetacean_operator.decisions.shadow_verdict import Outcome
from cetacean_operator.decisions.stage_input import Pair, StageInput
from cetacean_operator.decisions.stage_judgement import RUNNING, Judged, judge_stage
from cetacean_operator.decisions.stage_record import CanaryBegin, Hold, StageRecord, read_stage_record, stage_digest

_LONGEST: Final = 4096
_LONGEST_OF_STAGE: Final = 1024
INCONCLUSIVE: Final = "Inconclusive"
ABORTED: Final = "Aborted"
IMPOSSIBLE: Final = "Impossible"
AGREES: Final = "Agrees"
PROMOTED: Final = "PromotedByPerson"
_UNDECIDED: Final = frozenset({RUNNING, INCONCLUSIVE, IMPOSSIBLE})


class StageState(StrEnum):
    """How a candidate is doing."""

    RUNNING = "running"
    WAITING = "waiting"
    """For an approval."""
    HELD = "held"
    """For a person."""
    RETURNED = "returned"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class CandidateRun:
    """The candidate's pods, and what they are asked."""

    rollout: Rollout
    record: StageRecord
    replicas: int
    comparison: Comparison | None = None
    """What the serving pods copy to them, None for nothing."""
    canary: Canary | None = None
    """The share of the clients' requests, None for none."""
    is_routed: bool = False
    """True if a Gateway may still send clients, because it has not taken the newest HTTPRoute."""

    @property
    def routed_share(self) -> int | None:
        """Percent of the requests that a Gateway is to send; 0 before and after, None if the stage is no canary."""
        if self.canary is not None:
            return self.canary.weight
        return 0 if self.record.kind == "Canary" else None

    @property
    def admits_clients(self) -> bool:
        """True if clients must be able to reach the pods: from the begin of a canary, so before its first request."""
        return self.is_routed or (self.record.kind == "Canary" and self.record.hold is None)


@dataclass(frozen=True, slots=True)
class Stages:
    """The state of a candidate."""

    state: StageState
    condition: ConditionState
    """The condition CandidatePassed."""
    shown: CandidateStatus
    run: CandidateRun | None = None
    """None if no pod of the candidate may run."""
    returned: ReturnedCandidate | None = None
    """What must be remembered of a candidate that is removed."""
    decision: PersonDecision | None = None
    """Who promoted it before its stages were over."""
    requeue_after: float | None = None
    """Seconds until time alone changes the state."""

    @property
    def needs_person(self) -> bool:
        """True if nothing goes on by itself."""
        return self.state in (StageState.HELD, StageState.RETURNED)


def decision_about(model: str, rollout: str, decision: PersonDecision | None) -> PersonDecision | None:
    """Return a person's decision if it is about this candidate under this configuration."""
    if decision is None or (decision.model, decision.rollout) != (model, rollout):
        return None
    return decision


def has_promoted(decision: PersonDecision, history: Iterable[HistoryEntry]) -> bool:
    """Return true if a decision has promoted a model: it was about that promotion only."""
    return any(entry.decision == decision for entry in history)


def run_stages(
    pair: Pair, *, spec: Spec, given: StageInput, returned: Sequence[ReturnedCandidate], approved: bool | None
) -> Stages:
    """Return the state of a candidate that the gate has let pass.

    Args:
        pair: the candidate and the model that serves.
        spec: with at least one stage.
        given: the facts.
        returned: candidates that were removed.
        approved: False lets only shadows run. None, if the approvals cannot be read now, also lets a stage go on that
            has begun.
    """
    return _Machine(pair, spec, spec.rollout or RolloutPolicy(), given, approved=approved).run(returned)


class _Machine:
    """One decision about one candidate."""

    def __init__(
        self, pair: Pair, spec: Spec, policy: RolloutPolicy, given: StageInput, *, approved: bool | None
    ) -> None:
        self._pair, self._spec, self._policy, self._given = pair, spec, policy, given
        self._approved = approved
        self._stages, self._at = policy.stages, given.at
        self._retry = retry_of(pair.candidate, given.decision)

    def run(self, returned: Sequence[ReturnedCandidate]) -> Stages:
        pair = self._pair
        decision = decision_about(pair.candidate.name, pair.rollout.id, self._given.decision)
        known = find_returned(returned, pair.rollout, self._given.decision)
        record = self._resume()
        if decision is not None and decision.decision == "Promote" and self._approved:
            return self._pass(record, decision)
        if known is not None:
            return self._return(record, known)
        if decision is not None and decision.decision == "Abort":
            why = f"{decision.by} aborted it" + (f": {decision.why}" if decision.why else "")
            return self._give_up(record, ABORTED, why, by=decision.by)
        if (blocked := self._given.blocked) is not None:
            return self._stages_of(StageState.HELD, _not_begun(record), IMPOSSIBLE, blocked)
        waiting = self._wait_for_the_spec(record) if record.hold is None else None
        return waiting or self._advance(record)

    def _wait_for_the_spec(self, record: StageRecord) -> Stages | None:
        """Return the state of a candidate whose stages cannot run as the spec is, None if they can."""
        idle = _not_begun(record)
        if (why_not := self._impossible(record)) is not None:
            run = None if self._live_record() is None else self._run_of(idle)
            return self._stages_of(StageState.HELD, idle, IMPOSSIBLE, why_not, run=run)
        if self._given.wanted or len(record.passed) == len(self._stages):
            return None
        waits = "it waits until a replica of the model that serves is wanted"
        return self._stages_of(StageState.RUNNING, idle, RUNNING, waits, run=replace(self._run_of(idle), replicas=0))

    # --- The record ---------------------------------------------------------------------------------------------------

    def _live_record(self) -> StageRecord | None:
        record, pair = read_stage_record(self._given.deployment), self._pair
        if record is None or (record.rollout, record.served) != (pair.rollout.id, pair.served.id):
            return None
        return record

    def _resume(self) -> StageRecord:
        """Return the record as far as it is about this candidate, these stages and this clock."""
        record = self._live_record() or StageRecord(rollout=self._pair.rollout.id, served=self._pair.served.id)
        passed = 0
        for done, stage in zip(record.passed, self._stages, strict=False):
            if done.digest != stage_digest(stage):
                break
            passed += 1
        record = record.model_copy(update={"passed": record.passed[:passed]})
        if record.stage != passed or passed == len(self._stages) or record.kind != self._stages[passed].kind:
            return _not_begun(record)
        if record.hold and record.hold.stage != stage_digest(self._stages[passed]):
            return _not_begun(record)
        canary = self._stages[passed].canary
        if record.canary and canary and record.canary.weight != canary.weight:
            return _not_begun(record)
        if record.hold and self._retry not in (None, record.hold.retry):
            return _not_begun(record)
        # A time ahead of now was written by a clock that has been set back since.
        update: dict[str, object] = {}
        if (seconds_since(record.since, self._given.now) or -1.0) < 0.0:
            update["since"] = self._at
        if record.canary and (seconds_since(record.canary.at, self._given.now) or -1.0) < 0.0:
            update["canary"] = record.canary.model_copy(update={"at": self._at})
        return record.model_copy(update=update)

    def _impossible(self, record: StageRecord) -> str | None:
        """Return why the stages cannot run as the spec names them; before the first, all of them are checked."""
        if len(self._given.name) > names.LONGEST_NAME_WITH_CANDIDATE:
            return (
                f"a candidate needs a Deployment whose name begins with this resource's: expected at most "
                f"{names.LONGEST_NAME_WITH_CANDIDATE} letters, got {len(self._given.name)}"
            )
        index = len(record.passed)
        upcoming = self._stages[index:] if self._live_record() is None else self._stages[index : index + 1]
        found = (impossible_canary(self._spec, stage.canary) for stage in upcoming if stage.canary)
        return next((why for why in found if why is not None), None)

    # --- One stage after the other ------------------------------------------------------------------------------------

    def _advance(self, record: StageRecord) -> Stages:
        while True:
            index = len(record.passed)
            stage = self._stages[index] if index < len(self._stages) else None
            if record.hold is not None and stage is not None:
                # Before all else that may change meanwhile: only a person lets it go on.
                return self._hold(record, stage, self._judge(record, stage))
            goes_on = self._approved is None and stage is not None and record.stage == index
            if not self._approved and not self._may_run_before_approval(index) and not goes_on:
                waits = f"{self._passed_so_far(record)}; it waits for approval"
                idle = _not_begun(record)
                return self._stages_of(StageState.WAITING, idle, RUNNING, waits, run=self._run_of(idle))
            if stage is None:
                return self._pass(record)
            if stage.canary and (why := impossible_canary(self._spec, stage.canary)):
                idle = _not_begun(record)
                return self._stages_of(StageState.HELD, idle, IMPOSSIBLE, why, run=self._run_of(idle))
            if record.stage is None:
                record = record.model_copy(update={"stage": index, "kind": stage.kind, "since": self._at})
            judged = self._judge(record, stage)
            if judged.outcome is not Outcome.PASSED:
                return self._conclude(record, stage, judged)
            record = _not_begun(record).model_copy(update={"passed": (*record.passed, self._passed(stage, judged))})

    def _judge(self, record: StageRecord, stage: Stage) -> Judged:
        return judge_stage(self._pair, stage, spec=self._spec, given=self._given, record=record)

    def _may_run_before_approval(self, index: int) -> bool:
        leading = next((number for number, stage in enumerate(self._stages) if stage.canary), len(self._stages))
        return index < leading

    def _passed(self, stage: Stage, judged: Judged) -> PassedStage:
        return PassedStage(
            kind=stage.kind,
            digest=stage_digest(stage),
            at=self._at,
            message=judged.message[:_LONGEST_OF_STAGE],
            shadow=judged.shadow,
            canary=judged.canary,
        )

    # --- Results ------------------------------------------------------------------------------------------------------

    def _conclude(self, record: StageRecord, stage: Stage, judged: Judged) -> Stages:
        reason, message = judged.reason, judged.message
        is_failed = judged.outcome is Outcome.FAILED
        left = stage.timeout_seconds - max(0.0, seconds_since(record.since, self._given.now) or 0.0)
        if not is_failed and left <= 0:
            reason, message = INCONCLUSIVE, f"no verdict after {stage.timeout_seconds} s (timeoutSeconds): {message}"
        if reason == RUNNING:
            record = record.model_copy(update={"canary": judged.begin})
            wait = min(left, judged.wait) if judged.wait is not None else left
            run = self._run_of(record, stage, judged)
            found = self._stages_of(StageState.RUNNING, record, reason, message, run=run, judged=judged)
            return replace(found, requeue_after=wait)
        if self._policy.returns_failed if is_failed else self._policy.on_inconclusive == "Return":
            return self._give_up(record, reason, f"{self._where(record)}: {message}")
        hold = Hold(
            stage=stage_digest(stage), reason=reason, message=message[:_LONGEST], at=self._at, retry=self._retry
        )
        return self._hold(record.model_copy(update={"hold": hold, "canary": None}), stage, judged)

    def _hold(self, record: StageRecord, stage: Stage, judged: Judged) -> Stages:
        """Keep the candidate without clients; a shadow goes on, so that a person sees its figures."""
        assert record.hold is not None  # noqa: S101 -- the caller asked
        run = self._run_of(record, stage, replace(judged, is_reachable=False))
        shown = judged if stage.shadow else None
        return self._stages_of(StageState.HELD, record, record.hold.reason, record.hold.message, run=run, judged=shown)

    def _give_up(self, record: StageRecord, reason: str, why: str, *, by: str | None = None) -> Stages:
        pair = self._pair
        returned = record_returned(pair.candidate, pair.rollout.id, reason, why, given=self._given, by=by)
        return self._return(record, returned)

    def _return(self, record: StageRecord, returned: ReturnedCandidate) -> Stages:
        message = f"it was removed at {returned.at}: {returned.why}"
        found = self._stages_of(StageState.RETURNED, _not_begun(record), returned.reason, message)
        return replace(found, returned=returned)

    def _pass(self, record: StageRecord, decision: PersonDecision | None = None) -> Stages:
        reason, message = AGREES, self._passed_so_far(record)
        if decision is not None:
            why = f": {decision.why}" if decision.why else ""
            reason, message = PROMOTED, f"{decision.by} promoted it at {decision.at}{why}; {message}"
        return replace(self._stages_of(StageState.PASSED, _not_begun(record), reason, message), decision=decision)

    def _passed_so_far(self, record: StageRecord) -> str:
        listed = "; ".join(f"{one.kind}: {one.message}" for one in record.passed)
        count = f"{len(record.passed)} of {len(self._stages)} stages passed"
        return f"{count} ({listed})" if listed else count

    def _where(self, record: StageRecord) -> str:
        index = len(record.passed)
        return f"stage {index + 1} of {len(self._stages)} ({self._stages[index].kind})"

    def _run_of(self, record: StageRecord, stage: Stage | None = None, judged: Judged | None = None) -> CandidateRun:
        given = self._policy.candidate.replicas
        return CandidateRun(
            rollout=self._pair.rollout,
            record=record,
            replicas=candidate_replicas(self._spec, stage) if stage else given,
            comparison=judged.comparison if judged else None,
            # Only what the live Deployment records already: the counters are known before the first client comes.
            canary=stage.canary if stage and judged and judged.is_reachable and self._has_begun(judged.begin) else None,
        )

    def _has_begun(self, begin: CanaryBegin | None) -> bool:
        live = self._live_record()
        return bool(begin and live and live.canary and live.canary.at == begin.at)

    def _stages_of(
        self,
        state: StageState,
        record: StageRecord,
        reason: str,
        message: str,
        *,
        run: CandidateRun | None = None,
        judged: Judged | None = None,
    ) -> Stages:
        message = message[:_LONGEST]
        model, index = self._pair.candidate, len(record.passed)
        is_active = record.stage is not None
        status: ConditionStatus = (
            "True" if reason in (AGREES, PROMOTED) else "Unknown" if reason in _UNDECIDED else "False"
        )
        where = f", {self._where(record)}" if is_active else ""
        shown = CandidateStatus(
            model=model.name,
            version=model.version,
            digest=model.sha256,
            rollout=self._pair.rollout.id,
            stage=index + 1 if is_active else None,
            stages=len(self._stages),
            kind=self._stages[index].kind if is_active else None,
            since=record.since,
            verdict=reason,
            message=message,
            shadow=judged.shadow if judged else None,
            canary=judged.canary if judged else None,
            requirements=judged.shares if judged else (),
            passed=record.passed,
        )
        return Stages(state, ConditionState(status, reason, f"{label(model)}{where}: {message}"), shown, run)


def _not_begun(record: StageRecord) -> StageRecord:
    """Return the record with what has passed, and no stage that runs."""
    return StageRecord(rollout=record.rollout, served=record.served, passed=record.passed)
