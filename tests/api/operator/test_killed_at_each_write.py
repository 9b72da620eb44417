"""The operator is killed after each write of a rollout and a promotion in turn, and started again.

The API server has stored the write, and the operator has not got the answer. These are all states in which a killed
operator can leave a resource.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.accounts import Account
from support.api_faults import unanswered
from support.end_state import assert_end_state, end_state
from support.faulty_api import Call, FaultyApi, Reaction, faulty
from support.live_operator import OperatorProcess, condition, model

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

FEWEST = 6
"""A rollout and a promotion write at least four children and two statuses."""


def killing(name: str, when: Callable[[int], bool], kill: Callable[[], None]) -> Callable[[Call], Reaction | None]:
    """Kill after those writes about the resource for whose number `when` is true; the numbers begin at 1."""
    numbers = itertools.count(1)

    def fault(call: Call) -> Reaction | None:
        return unanswered(kill) if call.writes and call.concerns(name) and when(next(numbers)) else None

    return fault


def rolled_out(kubectl: Kubectl, name: str) -> bool:
    found = kubectl.get("cetaceanmodel", name)
    ready = condition(found, "Ready")
    return (ready.get("status"), ready.get("observedGeneration")) == ("True", found["metadata"]["generation"])


class Restarts:
    """One operator after another: each starts after the one before it was killed."""

    def __init__(self, api: FaultyApi, folder: Path) -> None:
        self._api, self._folder = api, folder
        self.operators: list[OperatorProcess] = []
        self._start()

    def _start(self) -> None:
        # All have the same identity: another one would have to wait until the Lease expires.
        self.operators.append(OperatorProcess(self._api.account, self._folder, "one", {}))

    @property
    def operator(self) -> OperatorProcess:
        """The newest one."""
        return self.operators[-1]

    @property
    def kills(self) -> int:
        return len(self.operators) - 1

    def _kill(self) -> None:
        self.operator.process.kill()

    def _restart_if_killed(self) -> None:
        if self.operator.process.poll() is not None:
            self._start()

    def run_scenario(self, kubectl: Kubectl, name: str, when: Callable[[int], bool]) -> None:
        """Roll a model out and promote another; kill after those writes for whose number `when` is true."""
        self._api.fault = killing(name, when, self._kill)
        for active in ("first", "second"):
            kubectl.apply(model(name, active=active))

            def done() -> bool:
                self._restart_if_killed()
                return rolled_out(kubectl, name)

            until(f"{active} of {name} to be rolled out", done, within=60)
        self._restart_if_killed()


@pytest.fixture
def restarts(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[Restarts]:
    with faulty(namespaced_account, namespaced, folder) as api:
        made = Restarts(api, folder)
        yield made
        made.operator.process.kill()
        made.operator.process.wait()


def test_the_end_state_is_the_same_after_whichever_write_the_operator_is_killed(
    restarts: Restarts, namespaced: Kubectl
) -> None:
    restarts.run_scenario(namespaced, "undisturbed", lambda _: False)
    expected = end_state(namespaced, "undisturbed")
    assert expected["history"] == [["second", "GatePassed"], ["first", "GatePassed"]]
    assert restarts.kills == 0
    for first in (1, 2, 3):
        # Each third write: together the three runs kill after every write, and each operator does some work first.
        restarts.run_scenario(namespaced, f"killed-{first}", lambda number, first=first: number % 3 == first % 3)  # type: ignore[misc]
        assert_end_state(namespaced, f"killed-{first}", expected)
    assert restarts.kills >= FEWEST
    # Each operator has a log of its own.
    assert len({operator.log for operator in restarts.operators}) == restarts.kills + 1
    assert [fault for operator in restarts.operators for fault in operator.faults()] == []
