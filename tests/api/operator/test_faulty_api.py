"""Faults between operator and API server: the end state is the same as without faults, and no Event is recorded twice."""

from __future__ import annotations

import itertools
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.accounts import Account
from support.api_faults import delayed, error_event, refused, torn_watch, unanswered
from support.end_state import assert_end_state, end_state, events
from support.faulty_api import Call, Fault, FaultyApi, Reaction, faulty, no_fault
from support.live_operator import (
    REPOSITORY,
    OperatorProcess,
    find,
    model,
    running,
    wait_for_ready_reason,
    wait_until_observed,
)

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until


def some(share: float, *reactions: Reaction, which: Callable[[Call], bool] = lambda _: True) -> Fault:
    """Inject a reaction into a random share of the calls that `which` selects, and into the first call of each verb.

    If there are several reactions, the calls of each resource get them in turn.
    """
    draws = random.Random(1)
    verbs: set[str] = set()
    turns: defaultdict[str, Iterator[Reaction]] = defaultdict(lambda: itertools.cycle(reactions))

    def fault(call: Call) -> Reaction | None:
        if not which(call) or (call.verb in verbs and draws.random() >= share):
            return None
        verbs.add(call.verb)
        return next(turns[call.resource])

    return fault


def writes(call: Call) -> bool:
    return call.writes


def watches(call: Call) -> bool:
    return call.verb == "watch"


def resumes(call: Call) -> bool:
    return watches(call) and bool(call.resource_version)


@dataclass(frozen=True, slots=True)
class Case:
    fault: Callable[[], Fault]
    reasons: frozenset[str] = frozenset()
    """The reasons of watch faults that must be counted and logged."""
    code: str = ""
    """The status of refused writes that must be counted; 0 is no answer."""
    error: str = ""
    """The reason of a failed reconcile that must be counted."""


FAULTS: dict[str, Case] = {
    "conflicts": Case(lambda: some(0.4, refused(409, "Conflict"), which=writes), code="409", error="Conflict"),
    "throttled": Case(
        lambda: some(0.1, refused(429, "TooManyRequests", retry_after=1)), code="429", error="TooManyRequests"
    ),
    "internal-errors": Case(lambda: some(0.2, refused(500, "InternalError")), code="500", error="InternalError"),
    "forbidden-for-a-moment": Case(lambda: some(0.4, refused(403, "Forbidden"), which=writes)),
    "unanswered-writes": Case(lambda: some(0.4, unanswered(), which=writes), code="0", error="ServerDisconnectedError"),
    "slow-answers": Case(lambda: some(1.0, delayed(0.2), which=lambda call: not watches(call))),
    "errors-in-watches": Case(
        lambda: some(
            0.7,
            error_event(500, "InternalError"),
            error_event(410, "Expired"),
            error_event(504, "Timeout"),
            which=watches,
        ),
        frozenset({"ErrorEvent", "Expired"}),
    ),
    "refused-watches": Case(
        lambda: some(
            0.5,
            refused(410, "Expired"),
            refused(404, "NotFound"),
            refused(503, "ServiceUnavailable"),
            which=resumes,
        ),
        frozenset({"Expired", "Refused"}),
    ),
    "torn-watches": Case(
        lambda: some(0.7, torn_watch(cleanly=True), torn_watch(cleanly=False), which=watches),
        frozenset({"TornEvent", "Cut"}),
    ),
}


@pytest.fixture(scope="module")
def api(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[FaultyApi]:
    with faulty(namespaced_account, namespaced, folder) as between:
        yield between


@pytest.fixture(scope="module")
def clock(folder: Path) -> Path:
    """A file with the seconds by which the operator's wall clock is ahead of the machine's."""
    return folder / "clock"


@pytest.fixture(scope="module")
def operator(api: FaultyApi, namespaced: Kubectl, folder: Path, clock: Path) -> Iterator[OperatorProcess]:
    """An operator behind the proxy; also its start meets faults."""
    api.fault = some(0.1, refused(500, "InternalError"))
    clock.write_text("0")
    settings: dict[str, Any] = {"request_timeout": 5, "backoff_max": 1, "watch_age_limit": 5}
    program = [str(REPOSITORY / "tests/support/stepped_operator.py"), str(clock)]
    with running(api.account, folder, outage=True, program=program, **settings) as process:
        api.fault = no_fault
        yield process
        api.fault = no_fault
        namespaced("delete", "cetaceanmodels", "--all", "--wait=true")


def run_scenario(kubectl: Kubectl, name: str, midway: Callable[[], None] = lambda: None) -> None:
    """Roll a model out, promote another, and delete the Service; `midway` is called before the promotion."""
    kubectl.apply(model(name))
    wait_until_observed(kubectl, name, within=60)
    midway()
    kubectl.apply(model(name, active="second"))
    kubectl("delete", "service", name, "--wait=false")
    wait_for_ready_reason(kubectl, name, "ScaledToZero", within=60)


@pytest.fixture(scope="module")
def undisturbed(operator: OperatorProcess, namespaced: Kubectl) -> dict[str, Any]:
    """The end state of the scenario without faults."""
    assert operator.ready()
    run_scenario(namespaced, "undisturbed")
    found = end_state(namespaced, "undisturbed")
    assert found["history"] == [["second", "GatePassed"], ["first", "GatePassed"]]
    assert found["revisions"] == 2
    return found


def watch_faults(operator: OperatorProcess) -> Counter[str]:
    """Return the number of watch faults by reason."""
    counted: Counter[str] = Counter()
    for labels, value in operator.samples("cetacean_operator_watch_faults_total"):
        counted[labels["reason"]] += int(value)
    return counted


def failed_writes(operator: OperatorProcess) -> Counter[str]:
    """Return the number of `apply` requests by status."""
    counted: Counter[str] = Counter()
    for labels, value in operator.samples("cetacean_operator_api_requests_total"):
        if labels["verb"] == "apply":
            counted[labels["code"]] += int(value)
    return counted


def failed_reconciles(operator: OperatorProcess) -> Counter[str]:
    """Return the number of failed reconciles by reason."""
    counted: Counter[str] = Counter()
    for labels, value in operator.samples("cetacean_operator_reconcile_errors_total"):
        counted[labels["reason"]] += int(value)
    return counted


def watch_logs(operator: OperatorProcess) -> Counter[str]:
    """Return the number of log lines about watches by reason."""
    return Counter(record["reason"] for record in operator.records() if "watch of" in record["message"])


@pytest.mark.parametrize("name", FAULTS)
def test_the_end_state_is_the_same_with_a_fault(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any], name: str
) -> None:
    faulty_calls: list[Call] = []
    case, before, logged = FAULTS[name], watch_faults(operator), watch_logs(operator)
    written, reconciled = failed_writes(operator), failed_reconciles(operator)
    fault = case.fault()

    def recorded(call: Call) -> Reaction | None:
        if (reaction := fault(call)) is not None:
            faulty_calls.append(call)
        return reaction

    def all_counted() -> bool:
        """Return true if each fault was counted; otherwise cause another event for the watches."""
        if case.reasons <= (watch_faults(operator) - before).keys():
            return True
        namespaced("annotate", "cetaceanmodel", name, f"again={uuid.uuid4()}", "--overwrite")
        return False

    api.fault = recorded
    api.cut_watches()
    try:
        run_scenario(namespaced, name)
        until("all faults to be counted", all_counted, within=30)
        assert_end_state(namespaced, name, undisturbed)
        reasons = {event["reason"] for event in events(namespaced, name)}
        assert reasons <= {"Promoting", "ScaledToZero"}, "transient faults are recorded in no Event"
    finally:
        api.fault = no_fault
    assert faulty_calls, "no call met the fault"
    assert case.reasons <= (watch_logs(operator) - logged).keys()
    assert {case.code} - {""} <= (failed_writes(operator) - written).keys()
    assert {case.error} - {""} <= (failed_reconciles(operator) - reconciled).keys()
    assert operator.process.poll() is None


def test_a_deletion_that_a_failed_watch_missed_is_repaired(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    namespaced.apply(model("unseen"))
    wait_for_ready_reason(namespaced, "unseen", "ScaledToZero")
    services = some(
        1.0,
        error_event(500, "InternalError", instead_of=b'"DELETED"'),
        which=lambda c: c.resource == "services" and watches(c),
    )
    api.fault = services
    api.cut_watches()
    namespaced("label", "service", "unseen", "now=so")  # the watch is opened again, and this one will fail
    before = watch_faults(operator)
    namespaced("delete", "service", "unseen", "--wait=false")
    until("the Service to be back", lambda: find(namespaced, "service", "unseen"), within=30)
    assert (watch_faults(operator) - before)["ErrorEvent"] >= 1, "the DELETED event was not replaced by the error"
    api.fault = no_fault


def test_the_end_state_is_the_same_if_the_wall_clock_is_stepped(
    operator: OperatorProcess, clock: Path, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    steps = iter(("86400", "-172800"))
    try:
        clock.write_text(next(steps))
        run_scenario(namespaced, "time-traveller", lambda: print(clock.write_text(next(steps))))
        assert_end_state(namespaced, "time-traveller", undisturbed)
        promoted, begun = namespaced.get("cetaceanmodel", "time-traveller")["status"]["history"]
        assert promoted["at"] < begun["at"], "the clock has gone backwards"
        assert operator.leads()
    finally:
        clock.write_text("0")


def test_the_end_state_is_the_same_if_the_watches_fall_silent(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    run_scenario(namespaced, "silent", api.silence_watches)
    assert_end_state(namespaced, "silent", undisturbed)
    until("the operator to be ready", operator.ready, within=20)


def test_requests_conditions_and_watches_are_measured(
    operator: OperatorProcess, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    assert undisturbed
    counted = operator.samples("cetacean_operator_api_requests_total")
    requests = {(labels["verb"], labels["code"]) for labels, _ in counted}
    assert {
        ("watch", "200"),
        ("list", "200"),
        ("apply", "200"),
        ("create", "201"),
        ("update", "200"),
        ("get", "404"),
    } <= requests
    assert operator.metric("cetacean_operator_leader") == 1.0
    ready = {
        labels["name"]: value
        for labels, value in operator.samples("cetacean_model_condition")
        if labels["type"] == "Ready"
    }
    existing = {item["metadata"]["name"] for item in namespaced.get("cetaceanmodels")["items"]}
    assert set(ready) == existing >= {"undisturbed"}
    assert set(ready.values()) == {1.0}
    ages = {labels["resource"]: value for labels, value in operator.samples("cetacean_operator_watch_age_seconds")}
    assert {"cetaceanmodels", "deployments", "pods"} <= set(ages)
    assert {record["resource"] for record in operator.records() if "watch of" in record["message"]} <= set(ages)
