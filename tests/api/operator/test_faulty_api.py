"""Whatever goes wrong between operator and API server: the end is as if nothing had, and nothing is done twice."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from end_state import end_state, ends_as, events
from faulty_api import Call, Fault, FaultyApi, Reaction, faulty, gone, late, no_fault, refused, torn, unanswered
from live_operator import Account, OperatorProcess, model, ready_because, running, settled

from demo.kubectl import Kubectl


def some(share: float, reaction: Reaction, which: Callable[[Call], bool] = lambda _: True) -> Fault:
    """A share of the calls that `which` picks meets the reaction, by lot; the first of them does in any case."""
    lots = random.Random(1)
    first = itertools.chain([True], itertools.repeat(False))
    return lambda call: reaction if which(call) and (next(first) or lots.random() < share) else None


def writes(call: Call) -> bool:
    return call.writes


def watches(call: Call) -> bool:
    return call.verb == "watch"


FAULTS: dict[str, Callable[[], Fault]] = {
    "conflicts": lambda: some(0.4, refused(409, "Conflict"), writes),
    "throttled": lambda: some(0.1, refused(429, "TooManyRequests", retry_after=1)),
    "internal-errors": lambda: some(0.2, refused(500, "InternalError")),
    "forbidden-for-a-moment": lambda: some(0.4, refused(403, "Forbidden"), writes),
    "unanswered-writes": lambda: some(0.4, unanswered(), writes),
    "slow-answers": lambda: some(1.0, late(0.2), lambda call: not watches(call)),
    "gone": lambda: some(0.5, gone, watches),
    "gone-at-once": lambda: some(0.5, refused(410, "Expired"), lambda call: watches(call) and bool(call.since)),
    "torn-watches": lambda: some(0.5, torn, watches),
}


@pytest.fixture(scope="module")
def api(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[FaultyApi]:
    with faulty(namespaced_account, namespaced, folder) as between:
        yield between


@pytest.fixture(scope="module")
def operator(api: FaultyApi, namespaced: Kubectl, folder: Path) -> Iterator[OperatorProcess]:
    """It has to start on a bad day as well."""
    api.fault = some(0.1, refused(500, "InternalError"))
    # The bounds of a silent watch as short as they may be: ten seconds.
    with running(api.account, folder, outage=True, request_timeout=5, backoff_max=1, watch_age_limit=16) as process:
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


@pytest.mark.parametrize("name", FAULTS)
def test_the_end_is_the_same(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any], name: str
) -> None:
    met: list[Call] = []
    fault = FAULTS[name]()

    def noted(call: Call) -> Reaction | None:
        if (reaction := fault(call)) is not None:
            met.append(call)
        return reaction

    api.fault = noted
    api.cut_watches()
    try:
        live(namespaced, name)
        ends_as(namespaced, name, undisturbed)
        told = {event["reason"] for event in events(namespaced, name)}
        assert told <= {"Promoting", "ScaledToZero"}, "what passes by itself is no news of the resource"
    finally:
        api.fault = no_fault
    assert met, "the fault never happened"
    assert operator.process.poll() is None


def test_a_watch_that_falls_silent_is_begun_anew(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl, undisturbed: dict[str, Any]
) -> None:
    live(namespaced, "silent", api.silence_watches)
    ends_as(namespaced, "silent", undisturbed)
    assert operator.ready()


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
    assert set(ready) == {"good-day", "silent", *FAULTS}
    assert set(ready.values()) == {1.0}
    ages = {labels["resource"]: value for labels, value in operator.samples("cetacean_operator_watch_age_seconds")}
    assert {"cetaceanmodels", "deployments", "pods"} <= set(ages)
