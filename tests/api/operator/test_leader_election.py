"""Two operators, one lease: who leads, and how fast the other takes over."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from live_operator import Account, OperatorProcess, find, model, ready_because, running, settled

from demo.kubectl import Kubectl
from demo.waiting import until

LEASE: dict[str, Any] = {"lease_duration": 9, "lease_renew_deadline": 6, "lease_retry_period": 0.5}
Pair = tuple[OperatorProcess, OperatorProcess]


@pytest.fixture
def pair(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[Pair]:
    """The leader and the one that waits."""
    with ExitStack() as stack:
        leader = stack.enter_context(running(namespaced_account, folder, identity="leader", **LEASE))
        until("the first to lead", leader.leads, within=20)
        waiting = stack.enter_context(running(namespaced_account, folder, identity="waiting", **LEASE))
        assert namespaced
        yield leader, waiting


def holder(home: Kubectl, account: Account) -> str:
    found = home.get("lease", account.name)["spec"].get("holderIdentity", "")
    return str(found)


def test_a_killed_leader_is_followed_within_the_lease(
    pair: Pair, home: Kubectl, namespaced: Kubectl, namespaced_account: Account
) -> None:
    leader, waiting = pair
    namespaced.apply(model("whales"))
    settled(namespaced, "whales")
    assert (leader.leads(), waiting.leads()) == (True, False)
    assert holder(home, namespaced_account) == "leader"
    assert home.get("leases")["items"][0]["metadata"]["name"] == namespaced_account.name
    assert waiting.process.poll() is None
    wrote = [record for record in waiting.records() if record.get("reason") in ("Applied", "Deleted")]
    assert wrote == [], "only the leader writes"

    leader.end(signal.SIGKILL)
    killed = time.monotonic()
    namespaced.apply(model("whales", active="second"))
    namespaced.apply(model("born-meanwhile"))
    until("the other to lead", waiting.leads, within=20)
    assert time.monotonic() - killed < LEASE["lease_duration"] + 4 * LEASE["lease_retry_period"] + 2
    assert holder(home, namespaced_account) == "waiting"
    settled(namespaced, "whales")
    template = namespaced.get("deployment", "whales")["spec"]["template"]
    assert template["metadata"]["annotations"]["ecomarineai.org/model"] == "second"
    ready_because(namespaced, "born-meanwhile", "ScaledToZero")


def test_a_leader_that_is_stopped_gives_the_lease_up(
    pair: Pair, home: Kubectl, namespaced: Kubectl, namespaced_account: Account
) -> None:
    leader, waiting = pair
    before = home.get("lease", namespaced_account.name)["spec"]["leaseTransitions"]
    assert leader.end(signal.SIGTERM) == 0
    ended = time.monotonic()
    assert holder(home, namespaced_account) in ("", "waiting")
    until("the other to lead", waiting.leads, within=20)
    assert time.monotonic() - ended < 4.0, "well before the lease would have run out"
    assert home.get("lease", namespaced_account.name)["spec"]["leaseTransitions"] == before + 1
    namespaced("delete", "deployment", "whales", "--ignore-not-found", "--wait=false")
    namespaced.apply(model("whales"))
    settled(namespaced, "whales")
    until("the Deployment", lambda: find(namespaced, "deployment", "whales"), within=20)
    assert waiting.leads()
