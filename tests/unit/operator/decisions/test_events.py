"""Events: one for each transition that a person wants to know of, and none while nothing changes."""

from __future__ import annotations

import pytest

from cetacean_operator.api.status import Condition, DriftStatus, HistoryEntry, SignalName, SignalStatus, Status
from cetacean_operator.decisions.condition_state import ConditionStatus
from cetacean_operator.decisions.events import transitions
from cetacean_operator.decisions.plan import EventSpec

AT = "2026-01-01T00:00:00Z"
State = tuple[ConditionStatus, str, str]
"""Status, reason and message of a condition."""
OTHERS: dict[str, State] = {"Available": ("True", "EnoughPods", "1 of 1"), "Progressing": ("False", "Complete", "")}
"""Conditions that cause no event."""


def status(**states: State | None) -> Status:
    """Return a status with these conditions; None is for one that it does not have."""
    found = {kind: state for kind, state in (OTHERS | states).items() if state}
    return Status(
        conditions=tuple(
            Condition(
                type=kind, status=state, reason=reason, message=message, last_transition_time=AT, observed_generation=1
            )
            for kind, (state, reason, message) in found.items()
        )
    )


def change(kind: str, old: State | None, new: State | None) -> tuple[EventSpec, ...]:
    """Return the events if one condition changes."""
    return transitions(status(**{kind: old}), status(**{kind: new}))


def warning(reason: str, message: str, action: str) -> tuple[EventSpec]:
    return (EventSpec("Warning", reason, message, action),)


def normal(reason: str, message: str, action: str) -> tuple[EventSpec]:
    return (EventSpec("Normal", reason, message, action),)


# --- Promotions -------------------------------------------------------------------------------------------------------


def promotion(model: str = "second", reason: str = "GatePassed") -> HistoryEntry:
    url = f"https://example.org/{model}.ckpt"
    return HistoryEntry(
        model=model, version="2.0.0", definition="d" * 64, weights_url=url, at=AT, reason=reason, why="as good"
    )


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("GatePassed", normal("Promoting", "rolling out second 2.0.0: as good", "Promote")),
        ("GateSkipped", normal("Promoting", "rolling out second 2.0.0: as good", "Promote")),
        ("ServedBefore", normal("Returning", "rolling out second 2.0.0: as good", "Rollback")),
        ("DriftRollback", warning("DriftRollback", "as good", "Rollback")),
        ("Adopted", normal("Adopted", "as good", "Adopt")),
    ],
)
def test_each_promotion_is_an_event(reason: str, expected: tuple[EventSpec, ...]) -> None:
    first, new = promotion("first"), promotion(reason=reason)

    assert transitions(Status(), Status(history=(new,))) == expected
    assert transitions(Status(history=(first,)), Status(history=(new, first))) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((), ()),
        ((promotion(), promotion("first")), (promotion(), promotion("first"))),
        ((promotion(), promotion("first")), (promotion(),)),
        ((promotion(),), ()),
    ],
    ids=["none yet", "nothing changes", "an old one is dropped", "the history is lost"],
)
def test_a_promotion_is_an_event_only_once(old: tuple[HistoryEntry, ...], new: tuple[HistoryEntry, ...]) -> None:
    assert transitions(Status(history=old), Status(history=new)) == ()


# --- Gate and approvals -----------------------------------------------------------------------------------------------

REFUSED: State = ("False", "GateRefused", "no metrics")
PASSED: State = ("True", "GatePassed", "as good")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, REFUSED, warning("GateRefused", "no metrics", "Gate")),
        (PASSED, REFUSED, warning("GateRefused", "no metrics", "Gate")),
        (("False", "GateRefused", "too few samples"), REFUSED, warning("GateRefused", "no metrics", "Gate")),
        (REFUSED, REFUSED, ()),
        (REFUSED, PASSED, ()),
        (None, PASSED, ()),
        (REFUSED, None, ()),
    ],
    ids=["first seen", "refused", "another message", "still refused", "passed", "passed when first seen", "gone"],
)
def test_each_refusal_of_the_gate_is_an_event(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("GatePassed", old, new) == expected


MISSING: State = ("False", "ApprovalMissing", "1 of 2 approvals")
APPROVED: State = ("True", "Approved", "2 of 2 approvals")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, MISSING, warning("ApprovalMissing", "1 of 2 approvals", "Approve")),
        (APPROVED, MISSING, warning("ApprovalMissing", "1 of 2 approvals", "Approve")),
        (("False", "ApprovalsUnreadable", "1 of 2 approvals"), MISSING, warning(*MISSING[1:], "Approve")),
        (("False", "ApprovalMissing", "0 of 2 approvals"), MISSING, warning(*MISSING[1:], "Approve")),
        (MISSING, MISSING, ()),
        (MISSING, APPROVED, normal("Approved", "2 of 2 approvals", "Approve")),
        (MISSING, ("True", "NotRequired", "it served before"), normal("Approved", "it served before", "Approve")),
        (("True", "NotRequired", "it served before"), APPROVED, ()),
        (None, APPROVED, ()),
        (APPROVED, APPROVED, ()),
        (MISSING, None, ()),
    ],
    ids=[
        "missing when first seen",
        "missing",
        "another reason",
        "another message",
        "still missing",
        "approved",
        "no longer required",
        "approved though not required",
        "approved when first seen",
        "still approved",
        "gone",
    ],
)
def test_missing_approvals_and_their_end_are_events(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("Approved", old, new) == expected


# --- Conditions that are true or false --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "ended"),
    [
        ("HotfixReviewOverdue", "HotfixReviewed"),
        ("LowAvailability", "AvailabilityAlarmEnded"),
        ("HighLatency", "LatencyAlarmEnded"),
        ("AutoscalingInactive", "AutoscalingActive"),
    ],
)
def test_an_alarm_is_one_event_when_it_begins_and_one_when_it_ends(kind: str, ended: str) -> None:
    raised: State = ("True", "Raised", "too slow")
    calm: State = ("False", "Calm", "fast enough")
    unknown: State = ("Unknown", "NoFigures", "no answers yet")
    begins, ends = warning(kind, "too slow", "Watch"), normal(ended, "fast enough", "Watch")

    assert change(kind, None, raised) == change(kind, calm, raised) == change(kind, unknown, raised) == begins
    assert change(kind, raised, calm) == ends
    assert change(kind, raised, unknown) == normal(ended, "no answers yet", "Watch")
    assert change(kind, raised, ("True", "Worse", "much too slow")) == ()
    assert change(kind, calm, unknown) == change(kind, None, calm) == change(kind, None, unknown) == ()
    assert change(kind, raised, None) == change(kind, calm, None) == ()


# --- Readiness and weights --------------------------------------------------------------------------------------------

NOT_READY: State = ("False", "OOMKilled", "raise the limit")
IS_READY: State = ("True", "RolledOut", "serves first 1.0.0")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, IS_READY, normal("RolledOut", "serves first 1.0.0", "Reconcile")),
        (NOT_READY, IS_READY, normal("RolledOut", "serves first 1.0.0", "Reconcile")),
        (("True", "Idle", "no replicas"), IS_READY, normal("RolledOut", "serves first 1.0.0", "Reconcile")),
        (("True", "RolledOut", "serves second 1.0.0"), IS_READY, ()),
        (None, NOT_READY, warning("OOMKilled", "raise the limit", "Reconcile")),
        (IS_READY, NOT_READY, warning("OOMKilled", "raise the limit", "Reconcile")),
        (("False", "CrashLoop", "raise the limit"), NOT_READY, warning("OOMKilled", "raise the limit", "Reconcile")),
        (("False", "OOMKilled", "pod 2"), NOT_READY, ()),
        (NOT_READY, None, ()),
    ],
    ids=[
        "ready when first seen",
        "ready",
        "ready for another reason",
        "still ready",
        "failed when first seen",
        "failed",
        "failed for another reason",
        "still failed",
        "gone",
    ],
)
def test_a_rollout_that_ends_or_fails_is_an_event(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("Ready", old, new) == expected


@pytest.mark.parametrize(
    "reason",
    [
        "RollingOut",
        "PodSilent",
        "GateRefused",
        "RolledBack",
        "ApprovalMissing",
        "ApprovalsUnreadable",
        "StagesRunning",
        "CandidateHeld",
        "CandidateReturned",
    ],
)
def test_a_reason_that_is_no_failure_or_has_an_event_of_its_own_is_no_event_of_readiness(reason: str) -> None:
    assert change("Ready", IS_READY, ("False", reason, "it waits")) == ()


NO_DIGEST: State = ("Unknown", "NoDigest", "first 1.0.0 names no digest")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, NO_DIGEST, warning("WeightsUnverified", "first 1.0.0 names no digest", "Verify")),
        (("True", "Verified", ""), NO_DIGEST, warning("WeightsUnverified", "first 1.0.0 names no digest", "Verify")),
        (("Unknown", "NoDigest", "second 1.0.0 names no digest"), NO_DIGEST, ()),
        (NO_DIGEST, ("True", "Verified", ""), ()),
        (None, ("Unknown", "NoPods", ""), ()),
        (NO_DIGEST, None, ()),
    ],
    ids=["first seen", "no longer named", "still without one", "named", "not known yet", "gone"],
)
def test_weights_that_nobody_can_verify_are_an_event(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("WeightsVerified", old, new) == expected


MISMATCH: State = ("False", "SignatureMismatch", "signed by another key")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, MISMATCH, warning("SignatureMismatch", "signed by another key", "Verify")),
        (("True", "Verified", ""), MISMATCH, warning("SignatureMismatch", "signed by another key", "Verify")),
        (("False", "SignatureMissing", ""), MISMATCH, warning("SignatureMismatch", "signed by another key", "Verify")),
        (("False", "SignatureMismatch", "signed by no key"), MISMATCH, ()),
        (MISMATCH, ("True", "Verified", ""), ()),
        (None, ("Unknown", "NoPods", ""), ()),
        (MISMATCH, None, ()),
    ],
    ids=["first seen", "no longer", "another reason", "still not", "verified", "not known yet", "gone"],
)
def test_a_signature_that_does_not_hold_is_an_event(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("SignatureVerified", old, new) == expected


def test_a_signature_that_keeps_pods_from_starting_is_one_event() -> None:
    failed: State = ("False", "SignatureMismatch", "pod 1: signed by another key")

    assert transitions(status(), status(SignatureVerified=MISMATCH, Ready=failed)) == warning(
        "SignatureMismatch", "pod 1: signed by another key", "Reconcile"
    )
    assert transitions(status(Ready=NOT_READY), status(SignatureVerified=MISMATCH, Ready=NOT_READY)) == warning(
        "SignatureMismatch", "signed by another key", "Verify"
    )


FETCHED: State = ("True", "Prefetched", "all are in the claim")
NOT_FETCHED: State = ("False", "WeightsDenied", "the store refuses")
FETCHING: State = ("Unknown", "Prefetching", "1 of 2")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, NOT_FETCHED, warning("PrefetchFailed", "the store refuses", "Prefetch")),
        (FETCHING, NOT_FETCHED, warning("PrefetchFailed", "the store refuses", "Prefetch")),
        (("False", "CacheFull", ""), NOT_FETCHED, warning("PrefetchFailed", "the store refuses", "Prefetch")),
        (("False", "WeightsDenied", "another store refuses"), NOT_FETCHED, ()),
        (FETCHING, FETCHED, normal("WeightsPrefetched", "all are in the claim", "Prefetch")),
        (None, FETCHED, normal("WeightsPrefetched", "all are in the claim", "Prefetch")),
        (("True", "Prefetched", "one is in the claim"), FETCHED, ()),
        (FETCHED, FETCHING, ()),
        (None, ("True", "NothingToFetch", ""), ()),
        (FETCHED, None, ()),
    ],
    ids=[
        "failed when first seen",
        "failed",
        "failed for another reason",
        "still failed",
        "fetched",
        "fetched when first seen",
        "still fetched",
        "another one is fetched",
        "nothing to fetch",
        "gone",
    ],
)
def test_weights_that_are_fetched_or_cannot_be_are_an_event(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("WeightsPrefetched", old, new) == expected


UNSUPPORTED: State = ("True", "TooOld", "Kubernetes 1.30 mounts no images")
SUPPORTED: State = ("False", "Supported", "Kubernetes 1.37 mounts images")
VERSION_UNKNOWN: State = ("Unknown", "VersionUnknown", "the version is not known")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, UNSUPPORTED, warning("ImageVolumesUnsupported", "Kubernetes 1.30 mounts no images", "Watch")),
        (SUPPORTED, UNSUPPORTED, warning("ImageVolumesUnsupported", "Kubernetes 1.30 mounts no images", "Watch")),
        (("True", "TooOld", "Kubernetes 1.29 mounts no images"), UNSUPPORTED, ()),
        (UNSUPPORTED, SUPPORTED, normal("ImageVolumesSupported", "Kubernetes 1.37 mounts images", "Watch")),
        (VERSION_UNKNOWN, SUPPORTED, ()),
        (None, SUPPORTED, ()),
        (UNSUPPORTED, VERSION_UNKNOWN, ()),
        (UNSUPPORTED, None, ()),
    ],
    ids=[
        "first seen",
        "no longer",
        "still not",
        "updated",
        "now known",
        "as it should be",
        "no longer known",
        "gone",
    ],
)
def test_a_cluster_that_mounts_no_images_is_an_event(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("ImageVolumesUnsupported", old, new) == expected


# --- Drift ------------------------------------------------------------------------------------------------------------

DROPPED: State = ("True", "ScoreDropped", "the mean is 0.5")
NO_DRIFT: State = ("False", "WithinBounds", "the mean is 0.9")
TOO_FEW: State = ("Unknown", "TooFewSamples", "10 samples")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, DROPPED, warning("ScoreDropped", "the mean is 0.5", "Watch")),
        (NO_DRIFT, DROPPED, warning("ScoreDropped", "the mean is 0.5", "Watch")),
        (("True", "SystemicRejection", ""), DROPPED, warning("ScoreDropped", "the mean is 0.5", "Watch")),
        (("True", "ScoreDropped", "the mean is 0.4"), DROPPED, ()),
        (DROPPED, NO_DRIFT, normal("DriftEnded", "the mean is 0.9", "Watch")),
        (DROPPED, TOO_FEW, normal("DriftEnded", "10 samples", "Watch")),
        (TOO_FEW, NO_DRIFT, ()),
        (None, NO_DRIFT, ()),
        (DROPPED, None, ()),
    ],
    ids=[
        "first seen",
        "dropped",
        "another reason",
        "still so",
        "ended",
        "no longer known",
        "now known",
        "as it should be",
        "gone",
    ],
)
def test_drift_is_an_event_when_it_begins_and_when_it_ends(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("Drifting", old, new) == expected


def signal(
    name: SignalName = "LowConfidence", reason: str = "LowConfidenceRisen", *, raised: bool = True
) -> SignalStatus:
    if not raised:
        return SignalStatus(signal=name, state="WithinBounds", reason="WithinBounds")
    return SignalStatus(
        signal=name, state="Raised", reason=reason, message="more are unsure", next_step="train it; runbook: #low"
    )


def drift(*signals: SignalStatus, drifting: State = NO_DRIFT) -> Status:
    return status(Drifting=drifting).model_copy(update={"drift": DriftStatus(signals=signals)})


RISEN = warning("LowConfidenceRisen", "more are unsure. Next: train it; runbook: #low", "Watch")
MIX = warning("SpeciesMixChanged", "more are unsure. Next: train it; runbook: #low", "Watch")
CHANGED = signal("BySpecies", "SpeciesMixChanged")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (drift(signal(raised=False)), drift(signal()), RISEN),
        (drift(), drift(signal()), RISEN),
        (status(Drifting=NO_DRIFT), drift(signal()), RISEN),
        (drift(signal()), drift(signal()), ()),
        (drift(signal()), drift(signal(raised=False)), ()),
        (drift(signal()), status(Drifting=NO_DRIFT), ()),
        (drift(signal()), drift(signal(), CHANGED), MIX),
        (drift(), drift(signal(), CHANGED), RISEN + MIX),
        (drift(signal("BySpecies", "Other")), drift(CHANGED), MIX),
        (drift(signal("TopProbability", "SpeciesMixChanged")), drift(CHANGED), MIX),
        (drift(), drift(signal("CetaceanScore", "ScoreDropped"), signal()), RISEN),
    ],
    ids=[
        "raised",
        "raised when first judged",
        "raised when first seen",
        "still raised",
        "ended",
        "no figures any more",
        "another one",
        "two at once",
        "for another reason",
        "of another signal",
        "the score has the condition",
    ],
)
def test_each_signal_that_is_raised_is_an_event_with_its_next_step(
    old: Status, new: Status, expected: tuple[EventSpec, ...]
) -> None:
    assert transitions(old, new) == expected


def test_a_signal_that_the_condition_takes_over_is_one_event() -> None:
    risen: State = ("True", "LowConfidenceRisen", "more are unsure")
    raised = drift(signal(), drifting=risen)

    assert transitions(drift(signal()), raised) == ()
    assert transitions(drift(), raised) == RISEN
    assert transitions(raised, drift(signal(raised=False))) == normal("DriftEnded", "the mean is 0.9", "Watch")


def test_the_event_of_a_dropped_score_is_that_of_the_condition() -> None:
    score = signal("CetaceanScore", "ScoreDropped")

    assert transitions(drift(), drift(score, signal(), drifting=DROPPED)) == (
        *warning("ScoreDropped", "the mean is 0.5", "Watch"),
        *RISEN,
    )


# --- Route and anti-fraud gate ----------------------------------------------------------------------------------------

NOT_ACCEPTED: State = ("False", "NoMatchingListener", "no listener matches")
ACCEPTED: State = ("True", "Accepted", "the Gateway accepts it")
PENDING: State = ("Unknown", "Pending", "no Gateway has answered")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, NOT_ACCEPTED, warning("RouteNotAccepted", "no listener matches", "Route")),
        (ACCEPTED, NOT_ACCEPTED, warning("RouteNotAccepted", "no listener matches", "Route")),
        (("False", "NotAllowed", ""), NOT_ACCEPTED, warning("RouteNotAccepted", "no listener matches", "Route")),
        (("False", "NoMatchingListener", "one does not match"), NOT_ACCEPTED, ()),
        (NOT_ACCEPTED, ACCEPTED, normal("RouteAccepted", "the Gateway accepts it", "Route")),
        (PENDING, ACCEPTED, ()),
        (None, ACCEPTED, ()),
        (NOT_ACCEPTED, PENDING, ()),
        (NOT_ACCEPTED, None, ()),
    ],
    ids=[
        "first seen",
        "no longer",
        "another reason",
        "still not",
        "accepted",
        "accepted for the first time",
        "accepted when first seen",
        "pending",
        "gone",
    ],
)
def test_a_route_that_no_gateway_accepts_is_an_event(
    old: State | None, new: State | None, expected: tuple[EventSpec, ...]
) -> None:
    assert change("RouteAccepted", old, new) == expected


GATE_OFF: State = ("True", "ThresholdZero", "the threshold is 0")
GATE_ON: State = ("False", "Enabled", "the threshold is 0.5")
OVERDUE: State = ("True", "RecalibrationOverdue", "off for a week")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, GATE_OFF, warning("AntiFraudDisabled", "the threshold is 0", "Watch")),
        (GATE_ON, GATE_OFF, warning("AntiFraudDisabled", "the threshold is 0", "Watch")),
        (("True", "ThresholdZero", "a threshold is 0"), GATE_OFF, ()),
        (GATE_OFF, OVERDUE, warning("RecalibrationOverdue", "off for a week", "Watch")),
        (OVERDUE, ("True", "RecalibrationOverdue", "off for 2 weeks"), ()),
        (OVERDUE, GATE_ON, normal("AntiFraudEnabled", "the threshold is 0.5", "Watch")),
        (GATE_OFF, GATE_ON, normal("AntiFraudEnabled", "the threshold is 0.5", "Watch")),
        (("Unknown", "NoPods", ""), GATE_ON, ()),
        (None, GATE_ON, ()),
        (GATE_OFF, None, ()),
    ],
    ids=[
        "first seen",
        "off",
        "still off",
        "off for too long",
        "still off for too long",
        "on after too long",
        "on",
        "now known",
        "as it should be",
        "gone",
    ],
)
def test_a_gate_that_is_off_is_an_event(old: State | None, new: State | None, expected: tuple[EventSpec, ...]) -> None:
    assert change("AntiFraudDisabled", old, new) == expected


def test_changes_at_the_same_time_are_events_in_a_fixed_order() -> None:
    new = status(Ready=IS_READY, GatePassed=REFUSED, RouteAccepted=NOT_ACCEPTED, LowAvailability=GATE_OFF)

    found = transitions(status(), new.model_copy(update={"history": (promotion(),)}))

    assert [event.reason for event in found] == [
        "Promoting",
        "GateRefused",
        "RolledOut",
        "LowAvailability",
        "RouteNotAccepted",
    ]
