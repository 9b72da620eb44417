"""The operator is killed after each write of a rollout and a promotion in turn, and started again.

The API server has done the write and nobody has heard of it: between two writes there is nothing else that could be left.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.accounts import Account
from support.api_faults import unanswered
from support.end_state import end_state, ends_as
from support.faulty_api import Call, FaultyApi, Reaction, faulty
from support.live_operator import OperatorProcess, condition, model

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

FEWEST = 6
"""What a rollout and a promotion write at least: three children and one, and a status after each."""


def killing(name: str, when: Callable[[int], bool], kill: Callable[[], None]) -> Callable[[Call], Reaction | None]:
    """Kill after the writes about the resource, counted from one over all operators, of which `when` says so."""
    numbers = itertools.count(1)

    def fault(call: Call) -> Reaction | None:
        return unanswered(kill) if call.writes and call.about(name) and when(next(numbers)) else None

    return fault


def rolled_out(kubectl: Kubectl, name: str) -> bool:
    found = kubectl.get("cetaceanmodel", name)
    ready = condition(found, "Ready")
    return (ready.get("status"), ready.get("observedGeneration")) == ("True", found["metadata"]["generation"])


class Life:
    """One operator after the other; each begins where the one before it was killed."""

    def __init__(self, api: FaultyApi, folder: Path) -> None:
        self._api, self._folder = api, folder
        self.kills = 0
        self._start()

    def _start(self) -> None:
        self.operator = OperatorProcess(self._api.account, self._folder, "one", {})

    def _kill(self) -> None:
        self.operator.process.kill()

    def _goes_on(self) -> None:
        if self.operator.process.poll() is not None:
            self.kills += 1
            self._start()

    def live(self, kubectl: Kubectl, name: str, when: Callable[[int], bool]) -> None:
        """A rollout and a promotion."""
        self._api.fault = killing(name, when, self._kill)
        for active in ("first", "second"):
            kubectl.apply(model(name, active=active))

            def done() -> bool:
                self._goes_on()
                return rolled_out(kubectl, name)

            until(f"{active} of {name} to be rolled out", done, within=60)
        self._goes_on()


@pytest.fixture
def life(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[Life]:
    with faulty(namespaced_account, namespaced, folder) as api:
        begun = Life(api, folder)
        yield begun
        begun.operator.process.kill()
        begun.operator.process.wait()


def test_the_end_is_the_same_wherever_it_is_killed(life: Life, namespaced: Kubectl) -> None:
    life.live(namespaced, "undisturbed", lambda _: False)
    expected = end_state(namespaced, "undisturbed")
    assert expected["history"] == [["second", "GatePassed"], ["first", "GatePassed"]]
    assert life.kills == 0
    for first in (1, 2, 3):
        # Each third write, so that all are met in the end, and each operator has something to do before it dies.
        life.live(namespaced, f"killed-{first}", lambda number, first=first: number % 3 == first % 3)  # type: ignore[misc]
        ends_as(namespaced, f"killed-{first}", expected)
    assert life.kills >= FEWEST
    assert life.operator.faults() == []
