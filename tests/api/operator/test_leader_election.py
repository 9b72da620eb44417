"""Two operators with one Lease: only the leader writes, and the other takes over in time."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.accounts import Account
from support.api_faults import refused, unanswered
from support.end_state import assert_end_state, end_state
from support.faulty_api import Call, FaultyApi, Reaction, faulty, no_fault
from support.live_operator import OperatorProcess, find, model, running, wait_for_ready_reason, wait_until_observed

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

LEASE: dict[str, Any] = {"lease_duration": 6, "lease_renew_deadline": 4, "lease_retry_period": 0.5}
Pair = tuple[OperatorProcess, OperatorProcess]


@pytest.fixture
def apis(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[tuple[FaultyApi, FaultyApi]]:
    """A proxy for each of the two operators."""
    with (
        faulty(namespaced_account, namespaced, folder, "leader") as leaders,
        faulty(namespaced_account, namespaced, folder, "waiting") as others,
    ):
        yield leaders, others


@pytest.fixture
def pair(apis: tuple[FaultyApi, FaultyApi], namespaced: Kubectl, folder: Path) -> Iterator[Pair]:
    """The operator that leads, and the one that waits."""
    with ExitStack() as stack:
        leader = stack.enter_context(running(apis[0].account, folder, identity="leader", leads=False, **LEASE))
        until("the first to lead", leader.leads, within=20)
        waiting = stack.enter_context(running(apis[1].account, folder, identity="waiting", **LEASE))
        assert namespaced
        yield leader, waiting


def holder(home: Kubectl, account: Account) -> str:
    found = home.get("lease", account.name)["spec"].get("holderIdentity", "")
    return str(found)


def test_another_operator_finishes_the_rollout_of_a_killed_leader_within_the_lease_duration(
    pair: Pair, apis: tuple[FaultyApi, FaultyApi], home: Kubectl, namespaced: Kubectl, namespaced_account: Account
) -> None:
    leader, waiting = pair
    for name in ("whales", "undisturbed"):
        namespaced.apply(model(name))
        wait_for_ready_reason(namespaced, name, "ScaledToZero")
    namespaced.apply(model("undisturbed", active="second"))
    wait_for_ready_reason(namespaced, "undisturbed", "ScaledToZero")
    assert (leader.leads(), waiting.leads()) == (True, False)
    assert holder(home, namespaced_account) == "leader"
    assert home.get("leases")["items"][0]["metadata"]["name"] == namespaced_account.name
    assert waiting.process.poll() is None
    assert apis[1].writes() == [], "only the leader writes"

    def kill_midway(call: Call) -> Reaction | None:
        mid = call.writes and call.resource == "deployments" and call.concerns("whales")
        return unanswered(leader.process.kill) if mid else None

    apis[0].fault = kill_midway
    namespaced.apply(model("whales", active="second"))
    assert leader.process.wait(timeout=20) == -signal.SIGKILL
    killed = time.monotonic()
    namespaced.apply(model("born-meanwhile"))
    until("the other to lead", waiting.leads, within=20)
    assert time.monotonic() - killed < LEASE["lease_duration"] + 4 * LEASE["lease_retry_period"] + 2
    assert holder(home, namespaced_account) == "waiting"
    wait_for_ready_reason(namespaced, "born-meanwhile", "ScaledToZero")
    assert_end_state(namespaced, "whales", end_state(namespaced, "undisturbed"))
    done = [call for call in apis[1].writes() if call.concerns("whales") and call.resource != "events"]
    assert {call.resource for call in done} == {"cetaceanmodels"}, "the Deployment had the new model already"


def test_a_leader_that_lost_its_lease_stops_writing(
    pair: Pair, apis: tuple[FaultyApi, FaultyApi], namespaced: Kubectl
) -> None:
    leader, waiting = pair
    namespaced.apply(model("orphan"))
    wait_for_ready_reason(namespaced, "orphan", "ScaledToZero")
    assert [call for call in apis[0].writes() if call.concerns("orphan")]
    # It can neither renew nor read the Lease; other requests and its watches succeed.
    apis[0].fault = lambda call: refused(500, "InternalError") if call.resource == "leases" else None
    until("the first to lead no longer", lambda: not leader.leads(), within=20)
    before = len(apis[0].writes())
    namespaced.apply(model("orphan", active="second"))
    namespaced("delete", "service", "orphan", "--wait=false")
    until("the other to lead", waiting.leads, within=20)
    wait_for_ready_reason(namespaced, "orphan", "ScaledToZero")
    until("the Service to be back", lambda: find(namespaced, "service", "orphan"), within=20)
    assert apis[0].writes()[before:] == []
    apis[0].fault = no_fault
    namespaced.apply(model("orphan"))
    wait_for_ready_reason(namespaced, "orphan", "ScaledToZero")
    assert apis[0].writes()[before:] == []
    assert (leader.leads(), waiting.leads()) == (False, True)


def test_a_leader_that_is_stopped_releases_the_lease(
    pair: Pair, home: Kubectl, namespaced: Kubectl, namespaced_account: Account
) -> None:
    leader, waiting = pair
    before = home.get("lease", namespaced_account.name)["spec"]["leaseTransitions"]
    assert leader.end(signal.SIGTERM) == 0
    ended = time.monotonic()
    assert holder(home, namespaced_account) in ("", "waiting")
    until("the other to lead", waiting.leads, within=20)
    assert time.monotonic() - ended < 4.0, "well before the Lease would have expired"
    assert home.get("lease", namespaced_account.name)["spec"]["leaseTransitions"] == before + 1
    namespaced("delete", "deployment", "whales", "--ignore-not-found", "--wait=false")
    namespaced.apply(model("whales"))
    wait_until_observed(namespaced, "whales")
    until("the Deployment", lambda: find(namespaced, "deployment", "whales"), within=20)
    assert waiting.leads()


def test_the_lease_is_deleted_with_the_operators_deployment(
    home: Kubectl, namespaced_account: Account, folder: Path
) -> None:
    name = namespaced_account.name
    labels = {"app.kubernetes.io/name": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "operator", "image": "absent"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    home("delete", "lease", name, "--ignore-not-found")
    home.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
    with running(namespaced_account, folder, identity="owned", leads=False, lease_owner=name, **LEASE) as operator:
        until("it to lead", operator.leads, within=20)
        home("delete", "deployment", name)
        until("the Lease to go", lambda: find(home, "lease", name) is None, within=20)
        # The operator finds out at the next renewal, and creates no other Lease.
        until("it to lead no longer", lambda: not operator.leads(), within=20)
        assert find(home, "lease", name) is None
