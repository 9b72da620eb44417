"""Events are sent in order, by a task of their own."""

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


class Sent:
    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.all = asyncio.Event()

    async def send(self, resource: CetaceanModel, event: EventSpec) -> None:
        assert (resource.namespace, resource.name, resource.uid) == ("sea", "whales", WHALES.uid)
        assert resource.spec == {}, "spec, status and annotations are not kept"
        if event.reason == "Late":
            raise NotLeadingError("lost")
        self.reasons.append(event.reason)
        if event.reason == "Last":
            self.all.set()


async def test_events_are_sent_in_order_and_a_lost_lease_skips_only_its_own() -> None:
    sent = Sent()
    recorder = EventRecorder(sent.send)
    job = asyncio.create_task(recorder.run())
    recorder.record(WHALES, events("First", "Late"))
    recorder.record(WHALES, events("Last"))
    await sent.all.wait()
    assert sent.reasons == ["First", "Last"]
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def test_finish_sends_the_queued_events() -> None:
    sent = Sent()
    recorder = EventRecorder(sent.send)
    recorder.record(WHALES, events("First", "Second"))
    assert sent.reasons == [], "record only queues"
    await recorder.finish()
    assert sent.reasons == ["First", "Second"]


async def test_one_event_a_second_is_sent_while_urgent_resources_are_queued() -> None:
    sent, backlog = Sent(), [True, False, False]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    recorder = EventRecorder(sent.send, has_urgent_backlog=lambda: backlog.pop(0), sleep=sleep)
    job = asyncio.create_task(recorder.run())
    recorder.record(WHALES, events("First", "Second", "Last"))
    await sent.all.wait()
    assert (sent.reasons, slept) == (["First", "Second", "Last"], [1.0])
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def test_events_beyond_the_limit_are_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    sent = Sent()
    recorder = EventRecorder(sent.send, limit=1)
    with caplog.at_level(logging.WARNING):
        recorder.record(WHALES, events("First", "Second"))
    await recorder.finish()
    assert sent.reasons == ["First"]
    assert caplog.messages == ["event Second: not sent, the queue is full"]
