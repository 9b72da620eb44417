"""Whatever goes wrong between operator and API server: the end is as if nothing had, and nothing is done twice."""

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
from support.api_faults import late, refused, told_in_it, torn, unanswered
from support.end_state import end_state, ends_as, events
from support.faulty_api import Call, Fault, FaultyApi, Reaction, faulty, no_fault
from support.live_operator import REPOSITORY, OperatorProcess, find, model, ready_because, running, settled

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until


def some(share: float, *reactions: Reaction, which: Callable[[Call], bool] = lambda _: True) -> Fault:
    """A share of the calls that `which` picks meets a reaction, by lot; the first of each verb does in any case.

    Of several reactions, each resource meets one after the other.
    """
    lots = random.Random(1)
    met: set[str] = set()
    turns: defaultdict[str, Iterator[Reaction]] = defaultdict(lambda: itertools.cycle(reactions))

    def fault(call: Call) -> Reaction | None:
        if not which(call) or (call.verb in met and lots.random() >= share):
            return None
        met.add(call.verb)
        return next(turns[call.resource])

    return fault


def writes(call: Call) -> bool:
    return call.writes


def watches(call: Call) -> bool:
    return call.verb == "watch"


def goes_on(call: Call) -> bool:
    return watches(call) and bool(call.since)


@dataclass(frozen=True, slots=True)
class Case:
    fault: Callable[[], Fault]
    counted: frozenset[str] = frozenset()
    """What is said of watches that were begun anew."""


FAULTS: dict[str, Case] = {
    "conflicts": Case(lambda: some(0.4, refused(409, "Conflict"), which=writes)),
    "throttled": Case(lambda: some(0.1, refused(429, "TooManyRequests", retry_after=1))),
    "internal-errors": Case(lambda: some(0.2, refused(500, "InternalError"))),
    "forbidden-for-a-moment": Case(lambda: some(0.4, refused(403, "Forbidden"), which=writes)),
    "unanswered-writes": Case(lambda: some(0.4, unanswered(), which=writes)),
    "slow-answers": Case(lambda: some(1.0, late(0.2), which=lambda call: not watches(call))),
    "errors-in-watches": Case(
        lambda: some(
            0.7,
            told_in_it(500, "InternalError"),
            told_in_it(410, "Expired"),
            told_in_it(504, "Timeout"),
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
            which=goes_on,
        ),
        frozenset({"Expired", "Refused"}),
    ),
    "torn-watches": Case(
        lambda: some(0.7, torn(cleanly=True), torn(cleanly=False), which=watches), frozenset({"TornEvent", "Cut"})
    ),
}


@pytest.fixture(scope="module")
def api(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[FaultyApi]:
    with faulty(namespaced_account, namespaced, folder) as between:
        yield between


@pytest.fixture(scope="module")
def clock(folder: Path) -> Path:
    """What the operator's wall clock is ahead of the machine's, in seconds."""
    return folder / "clock"


@pytest.fixture(scope="module")
def operator(api: FaultyApi, namespaced: Kubectl, folder: Path, clock: Path) -> Iterator[OperatorProcess]:
    """It has to start on a bad day as well."""
    api.fault = some(0.1, refused(500, "InternalError"))
    clock.write_text("0")
    settings: dict[str, Any] = {"request_timeout": 5, "backoff_max": 1, "watch_age_limit": 5}
    program = [str(REPOSITORY / "tests/support/stepped_operator.py"), str(clock)]
    with running(api.account, folder, outage=True, program=program, **settings) as process:
        api.fault = no_fault
        yield process
        api.fault = no_fault
        namespaced("delete", "cetaceanmodels", "--all", "--wait=true")


def live(kubectl: Kubectl, name: str, undo: Callable[[], None] = lambda: None) -> None:
    """A rollout, a promotion, and a Service that someone deletes; `undo` is called in the middle."""
    kubectl.apply(model(name))
    settled(kubectl, name, within=60)
    undo()
    kubectl.apply(model(name, active="second"))
    kubectl("delete", "service", name, "--wait=false")
    ready_because(kubectl, name, "ScaledToZero", within=60)


@pytest.fixture(scope="module")
def undisturbed(operator: OperatorProcess, namespaced: Kubectl) -> dict[str, Any]:
    """What it comes to on a good day."""
    assert operator.ready()
    live(namespaced, "good-day")
    found = end_state(namespaced, "good-day")
    assert found["history"] == [["second", "GatePassed"], ["first", "GatePassed"]]
    assert found["revisions"] == 2
    return found


def begun_anew(operator: OperatorProcess) -> Counter[str]:
    """How many watches were, by why."""
    counted: Counter[str] = Counter()
    for labels, value in operator.samples("cetacean_operator_watch_faults_total"):
        counted[labels["reason"]] += int(value)
    return counted


@pytest.mark.parametrize("name", FAULTS)
def test_the_end_is_the_same(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any], name: str
) -> None:
    met: list[Call] = []
    case, before = FAULTS[name], begun_anew(operator)
    fault = case.fault()

    def noted(call: Call) -> Reaction | None:
        if (reaction := fault(call)) is not None:
            met.append(call)
        return reaction

    def provoked() -> bool:
        """Whether each thing has happened; if not, the watches get more to carry."""
        if case.counted <= (begun_anew(operator) - before).keys():
            return True
        namespaced("annotate", "cetaceanmodel", name, f"again={uuid.uuid4()}", "--overwrite")
        return False

    api.fault = noted
    api.cut_watches()
    try:
        live(namespaced, name)
        until("all to have happened", provoked, within=30)
        ends_as(namespaced, name, undisturbed)
        told = {event["reason"] for event in events(namespaced, name)}
        assert told <= {"Promoting", "ScaledToZero"}, "what passes by itself is no news of the resource"
    finally:
        api.fault = no_fault
    assert met, "the fault never happened"
    assert operator.process.poll() is None


def test_what_was_deleted_while_a_watch_failed_is_missed_for_no_longer(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    namespaced.apply(model("unseen"))
    ready_because(namespaced, "unseen", "ScaledToZero")
    services = some(
        1.0,
        told_in_it(500, "InternalError", instead_of=b'"DELETED"'),
        which=lambda c: c.resource == "services" and watches(c),
    )
    api.fault = services
    api.cut_watches()
    namespaced("label", "service", "unseen", "now=so")  # the watch is begun anew, and this one will fail
    before = begun_anew(operator)
    namespaced("delete", "service", "unseen", "--wait=false")
    until("the Service to be back", lambda: find(namespaced, "service", "unseen"), within=30)
    assert (begun_anew(operator) - before)["ErrorEvent"] >= 1, "the deletion was never told"
    api.fault = no_fault


def test_the_clock_is_stepped_in_the_middle_of_it(
    operator: OperatorProcess, clock: Path, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    steps = iter(("86400", "-172800"))
    try:
        clock.write_text(next(steps))
        live(namespaced, "time-traveller", lambda: print(clock.write_text(next(steps))))
        ends_as(namespaced, "time-traveller", undisturbed)
        promoted, begun = namespaced.get("cetaceanmodel", "time-traveller")["status"]["history"]
        assert promoted["at"] < begun["at"], "the clock went backwards"
        assert operator.leads()
    finally:
        clock.write_text("0")


def test_a_watch_that_falls_silent_is_begun_anew(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    live(namespaced, "silent", api.silence_watches)
    ends_as(namespaced, "silent", undisturbed)
    until("the operator to be ready", operator.ready, within=20)


def test_what_it_asked_is_counted_by_verb_and_code(operator: OperatorProcess, undisturbed: dict[str, Any]) -> None:
    assert undisturbed
    counted = operator.samples("cetacean_operator_api_requests_total")
    asked = {(labels["verb"], labels["code"]) for labels, _ in counted}
    assert {("apply", "200"), ("apply", "409"), ("apply", "429"), ("apply", "500"), ("apply", "0")} <= asked
    assert {("watch", "200"), ("list", "200"), ("get", "404"), ("create", "201"), ("update", "200")} <= asked
    errors = {labels["reason"] for labels, _ in operator.samples("cetacean_operator_reconcile_errors_total")}
    assert {"Conflict", "TooManyRequests", "InternalError", "ServerDisconnectedError"} <= errors
    assert operator.metric("cetacean_operator_leader") == 1.0
    ready = {
        labels["name"]: value
        for labels, value in operator.samples("cetacean_model_condition")
        if labels["type"] == "Ready"
    }
    assert set(ready) == {"good-day", "silent", "unseen", "time-traveller", *FAULTS}
    assert set(ready.values()) == {1.0}
    ages = {labels["resource"]: value for labels, value in operator.samples("cetacean_operator_watch_age_seconds")}
    assert {"cetaceanmodels", "deployments", "pods"} <= set(ages)
    said = {record["reason"]: record["resource"] for record in operator.records() if "watch of" in record["message"]}
    assert {"Cut", "TornEvent", "ErrorEvent", "Expired", "Refused"} <= set(said)
    assert set(said.values()) <= set(ages)
