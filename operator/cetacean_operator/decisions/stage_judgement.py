"""Judge the stage that runs: by the candidate's pods, by pairs of answers, or by its answers to clients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from cetacean_operator.api.candidate import CanaryFigures, ShadowFigures, StageShare
from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import Spec
from cetacean_operator.api.stages import Canary, Shadow, Stage
from cetacean_operator.api.timestamps import seconds_since
from cetacean_operator.decisions.canary_pods import candidate_replicas
from cetacean_operator.decisions.canary_verdict import answered, judge_canary
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.failures import CAUSED_BY_MODEL, find_failure, is_lost, seconds_until_failure
from cetacean_operator.decisions.identity import deployed_rollout
from cetacean_operator.decisions.returned_candidates import retry_of
from cetacean_operator.decisions.shadow_verdict import Outcome, judge_shadow, pool
from cetacean_operator.decisions.stage_figures import canary_figures, shadow_figures, stage_shares
from cetacean_operator.decisions.stage_input import Pair, StageInput
from cetacean_operator.decisions.stage_record import CanaryBegin, PodCounters, StageRecord

RUNNING: Final = "Running"
_LARGEST_BEGIN: Final = 160 * 1024
"""Bytes of the counters in a record: it is an annotation, which may have 256 KiB with all others."""
_LARGEST_WITH_TIMES: Final = 64 * 1024
"""Bytes of the counters up to which a pod's times are kept; most of the bytes are theirs."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The findings of a stage so far."""

    outcome: Outcome
    reason: str
    message: str
    shares: tuple[StageShare, ...] = ()
    shadow: ShadowFigures | None = None
    canary: CanaryFigures | None = None
    comparison: Comparison | None = None
    begin: CanaryBegin | None = None
    """Of a canary that has begun."""
    is_reachable: bool = False
    """True if clients may reach the candidate."""
    wait: float | None = None


def judge_stage(pair: Pair, stage: Stage, *, spec: Spec, given: StageInput, record: StageRecord) -> Judged:
    """Judge the stage that runs.

    Args:
        pair: the candidate and the model that serves.
        stage: as spec.rollout names it.
        spec: of the resource.
        given: what pods report.
        record: with the counters at the begin of a canary.
    """
    rollout = pair.rollout
    own = [pod for pod in given.candidate_pods if pod.rollout_id == rollout.id and not pod.terminating]
    ready = [pod for pod in own if pod.ready]
    needed = candidate_replicas(spec, stage)
    unready = [pod for pod in own if not pod.ready]
    if record.canary and stage.canary and (why := _stopped_answering(unready, record.canary, given)):
        return Judged(Outcome.FAILED, "Failing", why)
    unable = None
    if len(ready) < needed:
        deployment = given.deployment if deployed_rollout(given.deployment) == rollout.id else None
        failure = find_failure(unready, deployment, given.now)
        unable = f"its pods do not get ready: {failure.reason}: {failure.message}" if failure else None
        if unable and failure and failure.final and failure.reason in CAUSED_BY_MODEL:
            return Judged(Outcome.FAILED, "Failing", unable)
    if stage.shadow:
        judged = _judge_shadow(pair, stage.shadow, ready, given)
    else:
        assert stage.canary is not None  # noqa: S101 -- a stage has one of both
        judged = _judge_canary(record.canary, stage.canary, ready, needed, given)
    if unable and judged.outcome is Outcome.UNDECIDED:
        # The cluster or a server is at fault, not the model: that may pass, until the stage's timeout.
        judged = replace(judged, message=unable)
    wait = seconds_until_failure(unready, given.now)
    waits = [one for one in (judged.wait, wait) if one is not None]
    return replace(judged, wait=min(waits, default=None))


def _stopped_answering(unready: Sequence[Pod], begin: CanaryBegin, given: StageInput) -> str | None:
    """Return how a pod that clients reached has become unready, None if none has.

    Clients whose requests such a pod gets wait or get an error, which no pod counts. If pods of the model that serves
    are not ready either, or the node does not report or was restarted, it is no fault of the candidate.
    """
    if len(given.pods) < given.wanted:
        return None
    answered_once = (pod for pod in unready if pod.uid in begin.pods)
    stopped = [pod for pod in answered_once if pod.lost_node is None and not is_lost(pod, given.now)]
    if not stopped:
        return None
    failure = find_failure(stopped, None, given.now)
    why = f"{failure.reason}: {failure.message}" if failure else stopped[0].silent
    return f"pod {stopped[0].name} answered clients and is not ready any more{f': {why}' if why else ''}"


def _judge_shadow(pair: Pair, shadow: Shadow, ready: Sequence[Pod], given: StageInput) -> Judged:
    reported = (pod.identity.digest for pod in ready if pod.identity)
    digest = pair.candidate.sha256 or next((found for found in reported if found), None)
    if digest is None or pair.served_digest is None:
        return Judged(Outcome.UNDECIDED, RUNNING, "no pod has reported its weights yet")
    require = shadow.require
    comparison = Comparison(
        candidate=pair.rollout,
        candidate_digest=digest,
        served=pair.served,
        served_digest=pair.served_digest,
        share=shadow.share,
        several_pods=given.wanted > 1,
        max_latency_ratio=require.max_latency_ratio,
        keep_disagreements=shadow.keep_disagreements,
        retry=retry_of(pair.candidate, given.decision),
    )
    # Copies that are sent before a pod can answer would count as failures of the candidate.
    if not ready and given.live_run != comparison.run:
        return Judged(Outcome.UNDECIDED, RUNNING, "it waits until a pod of the candidate is ready")
    report = pool(comparison.reports(given.pods), comparison.run)
    verdict = judge_shadow(report, require, several_pods=comparison.several_pods)
    return Judged(
        verdict.outcome,
        verdict.reason,
        verdict.message,
        stage_shares(verdict.shares),
        shadow=shadow_figures(report),
        comparison=comparison,
    )


def _judge_canary(
    begin: CanaryBegin | None, canary: Canary, ready: Sequence[Pod], needed: int, given: StageInput
) -> Judged:
    if begin is None:
        if len(ready) < needed or any(pod.service is None for pod in ready) or not given.pods:
            waits = f"{len(ready)} of {needed} pods of the candidate are ready; no client reaches it before"
            return Judged(Outcome.UNDECIDED, RUNNING, waits)
        begin = CanaryBegin(at=given.at, weight=canary.weight, pods=_counters(ready, given.pods))
    elif later := {pod.uid: PodCounters(times={}) for pod in ready if _came_later(pod, begin)}:
        begin = begin.model_copy(update={"pods": _add(begin.pods, later, (*given.candidate_pods, *given.pods))})
    candidate, stable = answered(ready, begin), answered(given.pods, begin)
    held_for = max(0.0, seconds_since(begin.at, given.now) or 0.0)
    verdict = judge_canary(candidate, stable, canary.require, held_for=held_for)
    left = canary.require.hold_for_seconds - held_for
    outcome, reason, message = verdict.outcome, verdict.reason, verdict.message
    if outcome is Outcome.PASSED and (silent := next((pod for pod in ready if pod.service is None), None)):
        # Clients reach it, and nobody knows what it answers them.
        outcome, reason = Outcome.UNDECIDED, RUNNING
        message = f"{message}; pod {silent.name} does not report its answers: {silent.silent or 'it was not asked yet'}"
    return Judged(
        outcome,
        reason,
        message,
        stage_shares(verdict.shares),
        canary=canary_figures(canary.weight, len(ready), candidate, stable),
        begin=begin,
        # A Gateway answers 503 to the share of a Service without a ready pod.
        is_reachable=bool(ready),
        wait=left if left > 0 else None,
    )


def _counters(candidate: Iterable[Pod], stable: Iterable[Pod]) -> dict[str, PodCounters]:
    """Return the counters of the first pods of both groups, with the times of the very first ones.

    The record is bounded, also if each pod reports the most buckets. What a pod that is not in it has answered does not
    count.
    """
    counters: dict[str, PodCounters] = {}
    size = 0
    # In turns: no group is judged without the times of the other one.
    for pod in (one for both in zip_longest(candidate, stable) for one in both if one):
        if pod.service is None:
            continue
        report = pod.service
        timed = PodCounters(
            requests=report.requests_total, errors=report.errors_total, times=dict(report.durations_total)
        )
        for one, largest in ((timed, _LARGEST_WITH_TIMES), (timed.model_copy(update={"times": None}), _LARGEST_BEGIN)):
            enlarged = size + _bytes({pod.uid: one})
            if enlarged <= largest:
                counters[pod.uid], size = one, enlarged
                break
    return counters


def _add(
    counters: Mapping[str, PodCounters], later: Mapping[str, PodCounters], present: Iterable[Pod]
) -> dict[str, PodCounters]:
    """Return the counters with those of later pods; if they are too many, without those of pods that are gone."""
    added = {**counters, **later}
    if _bytes(added) <= _LARGEST_BEGIN:
        return added
    uids = {pod.uid for pod in present}
    return {uid: one for uid, one in added.items() if uid in uids}


def _bytes(counters: Mapping[str, PodCounters]) -> int:
    return len(json.dumps({uid: one.wire() for uid, one in counters.items()}))


def _came_later(pod: Pod, begin: CanaryBegin) -> bool:
    return pod.uid not in begin.pods and (pod.started_at or "") >= begin.at
