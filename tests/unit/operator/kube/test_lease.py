"""Leader election on a virtual clock: there are never two leaders."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from support.fake_api import FakeApi
from support.virtual_time import VirtualClock, settle

from cetacean_operator.kube.client import ApiClient, ApiError
from cetacean_operator.kube.lease import AlwaysLeading, KubeLease, LeaderElector, NotLeadingError


class FakeLease:
    """One Lease with optimistic locking; requests of clients in `hangs` or `fails` do so."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.owner_deleted = False
        self.hangs: set[str] = set()
        self.fails: set[str] = set()

    def view_of(self, who: str) -> View:
        return View(self, who)


class View:
    def __init__(self, shared: FakeLease, who: str) -> None:
        self.shared, self.who = shared, who

    async def _reach(self) -> None:
        if self.who in self.shared.hangs:
            await asyncio.Event().wait()
        if self.who in self.shared.fails:
            raise ApiError("get", "/lease", 503, "Unavailable", "")

    async def get(self) -> dict[str, Any] | None:
        await self._reach()
        return copy.deepcopy(self.shared.lease)

    async def create(self, spec: dict[str, Any]) -> dict[str, Any]:
        await self._reach()
        if self.shared.lease is not None:
            raise ApiError("create", "/lease", 409, "AlreadyExists", "")
        if self.shared.owner_deleted:
            raise ApiError("get", "/deployment", 404, "NotFound", "the lease's owner is gone")
        return self._write(spec)

    async def replace(self, lease: dict[str, Any]) -> dict[str, Any]:
        await self._reach()
        if lease["metadata"]["resourceVersion"] != self.shared.version:
            raise ApiError("update", "/lease", 409, "Conflict", "")
        return self._write(lease["spec"])

    def _write(self, spec: dict[str, Any]) -> dict[str, Any]:
        self.shared.version += 1
        self.shared.lease = {"metadata": {"resourceVersion": self.shared.version}, "spec": copy.deepcopy(spec)}
        return copy.deepcopy(self.shared.lease)


class Party:
    """Electors over one lease."""

    def __init__(self) -> None:
        self.clock, self.shared = VirtualClock(), FakeLease()
        self.electors: dict[str, LeaderElector] = {}
        self.changes: list[tuple[str, bool]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def join(self, who: str) -> LeaderElector:
        elector = LeaderElector(
            self.shared.view_of(who),
            identity=who,
            duration=15.0,
            renew_deadline=10.0,
            retry_period=2.0,
            clock=self.clock.time,
            sleep=self.clock.sleep,
            on_change=lambda leading: self.changes.append((who, leading)),
        )
        self.electors[who] = elector
        self.tasks[who] = asyncio.create_task(elector.run())
        return elector

    @property
    def leaders(self) -> list[str]:
        return [who for who, elector in self.electors.items() if elector.leading]

    async def pass_(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            await self.clock.pass_(min(0.5, end - self.clock.now))
            assert len(self.leaders) <= 1, f"two leaders at {self.clock.now}"


@asynccontextmanager
async def party(*who: str) -> AsyncIterator[Party]:
    made = Party()
    for name in who:
        made.join(name)
        await settle()
    try:
        yield made
    finally:
        for task in made.tasks.values():
            task.cancel()
        await asyncio.gather(*made.tasks.values(), return_exceptions=True)


async def test_the_first_replica_leads_and_stays_leader() -> None:
    async with party("a", "b") as p:
        await p.pass_(120)
        assert p.leaders == ["a"]
        assert p.changes == [("a", True)]
        assert p.shared.lease is not None
        assert p.shared.lease["spec"]["holderIdentity"] == "a"
        assert p.shared.lease["spec"]["leaseTransitions"] == 1


async def test_another_replica_leads_after_the_leader_has_ended() -> None:
    async with party("a", "b") as p:
        await p.pass_(5)
        p.tasks["a"].cancel()
        await p.pass_(25)
        assert p.leaders == ["b"]
        assert p.shared.lease is not None
        assert p.shared.lease["spec"]["leaseTransitions"] == 2


async def test_a_leader_that_cannot_renew_stops_leading_before_another_starts() -> None:
    async with party("a", "b") as p:
        await p.pass_(5)
        p.shared.fails.add("a")
        await p.pass_(40)
        assert p.leaders == ["b"]
        assert p.changes == [("a", True), ("a", False), ("b", True)]


async def test_the_leader_stays_leader_after_a_failed_renewal() -> None:
    async with party("a", "b") as p:
        await p.pass_(5)
        p.shared.fails.add("a")
        await p.pass_(4)
        p.shared.fails.clear()
        await p.pass_(60)
        assert p.leaders == ["a"]
        assert p.changes == [("a", True)]


async def test_a_released_lease_is_acquired_at_the_next_try() -> None:
    async with party("a", "b") as p:
        await p.pass_(5)
        p.tasks["a"].cancel()
        await settle()
        await p.electors["a"].release()
        assert p.leaders == []
        await p.pass_(3.5)
        assert p.leaders == ["b"]


async def test_a_replica_that_does_not_lead_releases_nothing() -> None:
    async with party("a", "b") as p:
        await p.pass_(5)
        before = p.shared.version
        await p.electors["b"].release()
        assert p.shared.version == before


async def test_require_returns_the_remaining_seconds_and_raises_after_the_deadline() -> None:
    async with party("a") as p:
        await p.pass_(3)
        assert 10.0 < p.electors["a"].require() <= 15.0
        p.shared.hangs.add("a")
        await p.pass_(13)
        with pytest.raises(NotLeadingError, match="a does not hold the lease"):
            p.electors["a"].require()


async def test_a_leader_whose_renewal_hangs_past_its_deadline_does_not_lead() -> None:
    """`leading` compares the clock itself: it does not depend on the task that renews."""
    async with party("a", "b") as p:
        await p.pass_(5)
        p.shared.hangs.add("a")
        await p.pass_(12.5)
        assert not p.electors["a"].leading


async def test_the_times_in_the_lease_are_not_compared_with_the_local_clock() -> None:
    """A leader whose clock is wrong by years keeps its lease."""
    async with party("a", "b") as p:
        await p.pass_(5)
        assert p.shared.lease is not None
        p.shared.lease["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
        await p.pass_(60)
        assert p.leaders == ["a"]


async def test_a_deleted_lease_is_created_again() -> None:
    async with party("a") as p:
        await p.pass_(5)
        p.shared.lease, p.shared.version = None, 0
        await p.pass_(10)
        assert p.leaders == ["a"]
        assert p.shared.lease is not None


async def test_a_lease_is_not_created_again_after_its_owner_was_deleted() -> None:
    async with party("a", "b") as p:
        await p.pass_(5)
        p.shared.lease, p.shared.version, p.shared.owner_deleted = None, 0, True
        await p.pass_(10)
        assert p.leaders == []
        assert p.shared.lease is None


DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "system", "name": "operator"}}


def lease_of(api: FakeApi, owner: str | None) -> KubeLease:
    return KubeLease(cast("ApiClient", api), "system", "operator", owner=owner)


async def test_the_lease_has_the_deployment_as_owner() -> None:
    api = FakeApi()
    uid = api.put(DEPLOYMENT)["metadata"]["uid"]
    made = await lease_of(api, "operator").create({"holderIdentity": "a"})
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "operator", "uid": uid}
    ]


async def test_without_an_owner_no_deployment_is_read() -> None:
    api = FakeApi()
    made = await lease_of(api, None).create({"holderIdentity": "a"})
    assert "ownerReferences" not in made["metadata"]
    assert api.calls == [("create", "Lease/operator")]


async def test_no_lease_is_created_for_a_deleted_deployment() -> None:
    api = FakeApi()
    with pytest.raises(ApiError, match="deployments/operator: 404 NotFound: the lease's owner is gone"):
        await lease_of(api, "operator").create({"holderIdentity": "a"})
    assert api.writes() == []


@pytest.mark.parametrize(("code", "made"), [(403, True), (500, False), (0, False)])
async def test_a_lease_is_created_without_owner_if_reading_the_deployment_is_forbidden(code: int, made: bool) -> None:
    api = FakeApi()
    refusal = ApiError("get", "/apis/apps/v1", code, "Reason", "message")
    api.refuse = lambda _verb, resource, _name: refusal if resource.kind == "Deployment" else None
    if made:
        assert "ownerReferences" not in (await lease_of(api, "operator").create({}))["metadata"]
    else:
        with pytest.raises(ApiError, match="Reason"):
            await lease_of(api, "operator").create({})
    assert (api.find("Lease", "operator", "system") is not None) == made


def test_without_leader_election_the_process_always_leads() -> None:
    assert AlwaysLeading().require() > 60
