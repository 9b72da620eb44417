"""Events are told in order, beside everything else."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support.operator_world import manifest

from cetacean_operator.api.observed import CetaceanModel
from cetacean_operator.decisions.plan import EventSpec
from cetacean_operator.kube.event_recorder import EventRecorder
from cetacean_operator.kube.lease import NotLeadingError

WHALES = CetaceanModel.of(manifest())


def events(*reasons: str) -> list[EventSpec]:
    return [EventSpec("Normal", reason, "so it is") for reason in reasons]


class Told:
    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.all = asyncio.Event()

    async def send(self, resource: CetaceanModel, event: EventSpec) -> None:
        assert (resource.namespace, resource.name, resource.uid) == ("sea", "whales", WHALES.uid)
        assert resource.spec == {}, "what is large is not kept"
        if event.reason == "Late":
            raise NotLeadingError("lost")
        self.reasons.append(event.reason)
        if event.reason == "Last":
            self.all.set()


async def test_they_are_told_in_order_and_a_lost_lease_ends_nothing() -> None:
    told = Told()
    announcer = EventRecorder(told.send)
    job = asyncio.create_task(announcer.run())
    announcer.tell(WHALES, events("First", "Late"))
    announcer.tell(WHALES, events("Last"))
    await told.all.wait()
    assert told.reasons == ["First", "Last"]
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def test_what_is_left_is_told_at_the_end() -> None:
    told = Told()
    announcer = EventRecorder(told.send)
    announcer.tell(WHALES, events("First", "Second"))
    assert told.reasons == [], "nobody has waited for it"
    await announcer.finish()
    assert told.reasons == ["First", "Second"]


async def test_they_wait_while_others_wait_for_their_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    told, pressed, slept = Told(), [True, False, False], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    announcer = EventRecorder(told.send, pressed=lambda: pressed.pop(0))
    job = asyncio.create_task(announcer.run())
    announcer.tell(WHALES, events("First", "Second", "Last"))
    await told.all.wait()
    assert (told.reasons, slept) == (["First", "Second", "Last"], [1.0])
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def test_more_than_may_wait_are_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    announcer = EventRecorder(told.send, limit=1)
    with caplog.at_level(logging.WARNING):
        announcer.tell(WHALES, events("First", "Second"))
    await announcer.finish()
    assert told.reasons == ["First"]
    assert caplog.messages == ["event Second: too many wait to be told"]
