"""The report: what the status says about a choice, and when time alone changes it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal

import pytest
from support.operator_world import BEGIN, World, entry, manifest, model

from cetacean_operator.api.candidate import CandidateStatus, ReturnedCandidate
from cetacean_operator.api.feedback import AnswerFeedback
from cetacean_operator.api.observed import CetaceanModel, ContainerFailure, Observed, ServiceReport
from cetacean_operator.api.spec import Model, parse_spec
from cetacean_operator.api.status import (
    ComparisonStatus,
    Condition,
    FeedbackStatus,
    HistoryEntry,
    LiveAccuracy,
    ModelRef,
    PrefetchedModel,
    Release,
    Rollback,
    Rollout,
    ServiceStatus,
    Status,
    parse_status,
)
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.assess import assess
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.desired_children import DesiredChildren
from cetacean_operator.decisions.identity import reference, rollout_of
from cetacean_operator.decisions.prefetch import Prefetch
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.report import Report, report, report_invalid_spec
from cetacean_operator.decisions.serving_history import add_promotion
from cetacean_operator.decisions.stages import Stages, StageState

AT, URL = timestamp(BEGIN), "https://example.org/runbook"
FIRST, SECOND = model("first"), model("second", "b")
PASSED = ConditionState("True", "GatePassed", "as good")
REFUSED = ConditionState("False", "GateRefused", "no metrics")
DAY = 24 * 3600.0


def settled(*entries: dict[str, Any], active: str = "first", **spec: Any) -> World:
    """Return a world whose pods serve `first`."""
    world = World(manifest(*(entries or (entry("first"), entry("second", "b"))), active="first", **spec))
    world.settle()
    world.activate(active)
    return world


def reported(
    world: World,
    choice: Choice,
    *changed: str,
    history: tuple[HistoryEntry, ...] = (),
    prefetch: Prefetch | None = None,
    observed: Observed | None = None,
    **next_status: Any,
) -> Report:
    """Return the report about a choice while children of these kinds are not as they must be."""
    resource = CetaceanModel.of(copy.deepcopy(world.obj))
    spec, last = parse_spec(resource.spec), parse_status(resource.status)
    assessment = assess(resource, spec, observed or world.observed(), last_status=last, now=world.now)
    manifests = {(kind, "whales"): {"kind": kind} for kind in changed}
    return report(
        assessment,
        choice,
        DesiredChildren(
            rollout=rollout_of(choice.target, spec.anti_fraud) if choice.target else None,
            manifests=manifests,
            differences=dict.fromkeys(manifests, ("/spec",)),
        ),
        last.model_copy(update={"history": history, **next_status}),
        prefetch=prefetch or Prefetch(),
        runbook_url=URL,
    )


def condition(found: Report, kind: str) -> ConditionState | None:
    one = found.status.condition(kind)
    return ConditionState(one.status, one.reason, one.message) if one else None


def reason(found: Report, kind: str) -> str | None:
    one = found.status.condition(kind)
    return one.reason if one else None


def stages(*, requeue_after: float | None = None) -> Stages:
    shown = CandidateStatus(
        model="second", version="1.0.0", rollout="r1", stage=1, stages=2, verdict="Running", message="10 pictures"
    )
    running = ConditionState("Unknown", "Running", "10 pictures")
    return Stages(StageState.RUNNING, running, shown, requeue_after=requeue_after)


def promoted(one: Model, release: Release | None = None) -> tuple[HistoryEntry, ...]:
    return add_promotion((), one, reason="GatePassed", why="as good", at=AT, release=release)


def rolled_back() -> Rollback:
    rejected, restored = ModelRef(name="second", digest="b" * 64), ModelRef(name="first", digest="a" * 64)
    return Rollback(
        rejected=rejected, rejected_url=SECOND.weights_url, restored=restored, at=AT, why="it identifies worse"
    )


# --- The status -------------------------------------------------------------------------------------------------------


def test_the_status_has_the_choice_and_what_must_be_remembered() -> None:
    history, rollback = promoted(FIRST), rolled_back()
    comparison = ComparisonStatus(run="r1", model=ModelRef(name="second"), pairs=10)
    returned = ReturnedCandidate(
        model="second", version="1.0.0", entry="e", rollout="r0", reason="Disagrees", why="few agree", at=AT
    )
    fetched = PrefetchedModel(model="second", digest="b" * 64, claim="weights", since=AT)
    choice = Choice(FIRST, PASSED, compared=comparison, stages=stages())

    found = reported(
        settled(active="second"),
        choice,
        history=history,
        prefetch=Prefetch(shown=(fetched,), condition=ConditionState("True", "Prefetched", "1 of 1")),
        rollback=rollback,
        returned_candidates=(returned,),
    ).status

    assert found.history == history
    assert found.rollback == rollback
    assert found.comparison == comparison
    assert found.candidate == stages().shown
    assert found.returned_candidates == (returned,)
    assert found.prefetched == (fetched,)
    assert found.condition("WeightsPrefetched") is not None
    assert found.rollout == Rollout(
        id=rollout_of(FIRST, parse_spec(manifest()["spec"]).anti_fraud).id, model="first", version="1.0.0"
    )
    assert found.selector == "ecomarineai.org/cetaceanmodel=whales"


def test_the_status_of_a_resource_that_serves_nothing_names_no_rollout() -> None:
    found = reported(World(), Choice(None, REFUSED)).status
    assert (found.rollout, found.comparison, found.candidate, found.prefetched) == (None, None, None, None)
    assert (found.service, found.feedback, found.history) == (None, None, ())


@pytest.mark.parametrize(
    ("target", "active", "replicas"),
    [
        (model("second", None), reference(model("second", None), "f" * 64), 1),
        (FIRST, reference(model("second", None)), 0),
    ],
    ids=["the active model serves", "another model serves"],
)
def test_what_pods_found_is_said_about_the_active_model_only_if_it_serves(
    target: Model, active: ModelRef, replicas: int
) -> None:
    world = settled(entry("first"), entry("second", None), active="second")
    if target != FIRST:
        world.settle()
    found = reported(world, Choice(target, PASSED)).status
    assert (found.active, found.active_replicas, found.ready_replicas) == (active, replicas, 1)


def test_the_status_has_the_figures_of_requests_and_feedback() -> None:
    world = settled()
    pods = tuple(
        replace(
            pod,
            service=ServiceReport(requests=1000, availability_percent=99.5),
            feedback={"2.0.0": AnswerFeedback(9, 1)},
        )
        for pod in world.observed().pods
    )

    found = reported(world, Choice(FIRST, PASSED), observed=replace(world.observed(), pods=pods)).status

    assert found.service == ServiceStatus(availability_percent=99.5)
    accuracy = LiveAccuracy(samples=10, correct=9, accuracy=0.9, low=0.596, high=0.982)
    assert found.feedback == (FeedbackStatus(version="2.0.0", species=accuracy),)


def test_only_a_raised_signal_says_what_to_do_next() -> None:
    world = settled()
    world.drift(0.5)
    found = reported(world, Choice(FIRST, PASSED)).status.drift
    assert found is not None
    step = (
        "compare what is sent with the evaluation set, then calibrate the threshold on pictures as they are sent now; "
        f"runbook: {URL}#drift"
    )
    assert {one.signal: one.next_step for one in found.signals if one.raised} == {"CetaceanScore": step}
    assert len(found.signals) > 1
    assert {one.next_step for one in found.signals if not one.raised} == {None}


# --- Conditions -------------------------------------------------------------------------------------------------------

NO_MORE = 'pods "whales-1" is forbidden: exceeded quota: q'


def over_quota(world: World) -> World:
    """Let the controller of the Deployment say that it could not create a pod."""
    assert world.deployment is not None
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": NO_MORE}
    world.deployment["status"]["conditions"] = [failure]
    return world


def test_pods_that_are_missing_are_explained_until_the_rollout_is_complete() -> None:
    world = over_quota(settled())
    # A Service that must be applied keeps the resource from being ready, and no pod is missing.
    assert reason(reported(world, Choice(FIRST, PASSED), "Service"), "Ready") == "RollingOut"
    world.pods[0].ready = False
    assert condition(reported(world, Choice(FIRST, PASSED)), "Ready") == ConditionState(
        "False", "QuotaExceeded", f"0 of 1 wanted replicas serve first 1.0.0; {NO_MORE}"
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [((), "Serving"), (("Job",), "Serving"), (("Service",), "RollingOut"), (("Job", "Service"), "RollingOut")],
    ids=["nothing", "a Job", "a Service", "both"],
)
def test_only_a_child_that_serves_keeps_the_resource_from_being_ready(changed: tuple[str, ...], expected: str) -> None:
    assert reason(reported(settled(), Choice(FIRST, PASSED), *changed), "Ready") == expected


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (
            Observed(name_conflict="Service whales"),
            ConditionState(
                "False", "NameTaken", "Service whales exists and is not this resource's: rename one of the two"
            ),
        ),
        (Observed(refused="denied by a webhook"), ConditionState("False", "ApplyRefused", "denied by a webhook")),
    ],
    ids=["a name is taken", "the API server refuses"],
)
def test_children_that_cannot_be_applied_are_why_it_is_not_ready(observed: Observed, expected: ConditionState) -> None:
    assert condition(reported(settled(), Choice(FIRST, PASSED), observed=observed), "Ready") == expected


KEYS = {"signature": {"keys": [{"configMapKeyRef": {"name": "signers", "key": "release.pub"}}]}}


def test_signatures_are_judged_only_if_the_resource_asks_for_them() -> None:
    world = settled(serving=KEYS)
    world.pods[0].signature = "SignatureVerified: signed by release.pub"
    verified = ConditionState("True", "Verified", "signed by release.pub")
    assert condition(reported(world, Choice(FIRST, PASSED)), "SignatureVerified") == verified
    assert condition(reported(settled(), Choice(FIRST, PASSED)), "SignatureVerified") is None


def test_a_signature_that_keeps_a_pod_from_starting_does_not_hold() -> None:
    world = settled(serving=KEYS)
    failure = ContainerFailure("fetch", "Error", "SignatureMismatch: signed by another key", exit_code=1)
    world.pods[0].ready, world.pods[0].failures = False, (failure,)
    found = reported(world, Choice(FIRST, PASSED))
    message = f"pod whales-{world.pods[0].number}, container fetch: signed by another key"
    assert condition(found, "SignatureVerified") == ConditionState("False", "SignatureMismatch", message)


NOT_COMPARED = (
    "no rollback: the registry names second 1.0.0, which does not serve, and only a model that it names is compared "
    "with the one before: name first 1.0.0 again"
)


def drifting(mean: float = 0.5, *, choice: Choice, on_alarm: str = "Rollback", active: str = "second") -> str:
    """Return the message of the condition Drifting, without its next step."""
    world = settled(active=active, drift={"onAlarm": on_alarm})
    world.drift(mean)
    found = condition(reported(world, choice), "Drifting")
    assert found is not None
    return found.message.partition(". Next: ")[0]


def test_drift_of_a_model_that_the_registry_does_not_name_says_why_there_is_no_rollback() -> None:
    message = drifting(choice=Choice(FIRST, REFUSED), on_alarm="Alert")
    assert "no rollback" not in message
    assert drifting(choice=Choice(FIRST, REFUSED)) == f"{message}; {NOT_COMPARED}"


@pytest.mark.parametrize(
    ("choice", "changes"),
    [
        (Choice(FIRST, REFUSED), {"on_alarm": "Alert"}),
        (Choice(FIRST, REFUSED), {"mean": 0.9}),
        (Choice(FIRST, PASSED), {"active": "first"}),
        (Choice(FIRST, PASSED, rollback=rolled_back()), {}),
        (Choice(None, REFUSED), {}),
    ],
    ids=["it asks for no rollback", "no drift", "the registry names it", "it was rolled back to", "nothing serves"],
)
def test_otherwise_there_is_no_rollback_to_explain(choice: Choice, changes: dict[str, Any]) -> None:
    assert "no rollback" not in drifting(choice=choice, **changes)


def test_why_a_rollback_was_refused_is_said_with_the_drift() -> None:
    choice = Choice(FIRST, PASSED, refusal="no rollback: no model served before")
    message = drifting(choice=Choice(FIRST, PASSED), active="first")
    assert drifting(choice=choice, active="first") == f"{message}; no rollback: no model served before"


def test_a_hotfix_whose_review_is_missing_is_reported_with_the_time_that_is_left() -> None:
    world = settled(entry("first", hotfix=True, metricsSnapshot="reports/first.json"), approval={})
    history = promoted(FIRST, Release(type="Hotfix", change="Patch"))
    found = reported(world, Choice(FIRST, PASSED), history=history)
    assert reason(found, "HotfixReviewOverdue") == "ReviewPending"
    assert reason(found, "Approved") == "Approved"
    assert found.requeue_after == DAY
    without = reported(settled(), Choice(FIRST, PASSED), history=history)
    assert (without.status.condition("HotfixReviewOverdue"), without.requeue_after) == (None, None)


# --- Time -------------------------------------------------------------------------------------------------------------


def test_a_running_pod_is_judged_again_when_its_probe_counts_as_failed() -> None:
    world = settled(serving={"replicas": 2})
    slow, other = world.pods
    slow.ready, slow.started_at = False, AT
    assert reported(world, Choice(FIRST, PASSED)).requeue_after == 120
    world.wait(seconds=50)
    assert reported(world, Choice(FIRST, PASSED)).requeue_after == 70
    other.ready, other.failures = False, (ContainerFailure("serve", "OOMKilled", "", exit_code=137),)
    assert reported(world, Choice(FIRST, PASSED)).requeue_after is None, "another failure is reported already"


@pytest.mark.parametrize(
    ("stage", "prefetch", "expected"),
    [(None, None, None), (30.0, None, 30.0), (None, 60.0, 60.0), (30.0, 60.0, 30.0), (60.0, 30.0, 30.0)],
    ids=str,
)
def test_the_soonest_change_by_time_alone_counts(
    stage: float | None, prefetch: float | None, expected: float | None
) -> None:
    choice = Choice(FIRST, PASSED, stages=stages(requeue_after=stage))
    found = reported(settled(active="second"), choice, prefetch=Prefetch(requeue_after=prefetch))
    assert found.requeue_after == expected


# --- A spec that cannot be read ---------------------------------------------------------------------------------------


def test_an_invalid_spec_replaces_the_conditions_about_it_and_keeps_the_rest_of_the_status() -> None:
    def one(kind: str, status: Literal["True", "False"], reason: str, message: str, generation: int) -> Condition:
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=AT,
            observed_generation=generation,
        )

    resource = replace(CetaceanModel.of(manifest()), generation=2, annotations={"ecomarineai.org/drift-samples": "1"})
    kept = one("GatePassed", "True", "GatePassed", "as good", 1)
    last = Status(
        observed_generation=1,
        ready_replicas=1,
        history=promoted(FIRST),
        conditions=(one("Ready", "True", "Serving", "1 of 1", 1), kept),
    )

    found = report_invalid_spec(resource, "threshold: too large", last_status=last, at=AT, runbook_url=URL)

    step = f". Next: repair what the message names, or go back to the model before; runbook: {URL}#rollout-stalled"
    assert found.status == last.model_copy(
        update={
            "observed_generation": 2,
            "conditions": (
                one("Ready", "False", "InvalidSpec", "threshold: too large", 2),
                one("Reconciling", "False", "InvalidSpec", "threshold: too large", 2),
                one("Stalled", "True", "InvalidSpec", f"threshold: too large{step}", 2),
                kept,
            ),
        }
    )
    assert found.annotations == {"ecomarineai.org/drift-samples": "1"}
    assert [event.reason for event in found.events] == ["InvalidSpec"]
    assert found.requeue_after is None
