"""Scrapes pods for the weights that they serve and the drift of their scores, at a bounded rate, beside the queue.

A pod that hangs, lies or floods occupies one slot for one time-out: pods that have hung share a quarter of the slots
from then on. Results are kept per pod uid; a resource is reconciled only if one of them has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cetacean_operator.backoff import jittered
from cetacean_operator.kube.store import Key
from cetacean_operator.pods.schedule import Schedule
from cetacean_operator.pods.scrape import Scrape, Target


class Timer(Protocol):
    """A scheduled call that can be cancelled."""

    def cancel(self) -> None:
        """Do not call."""


@dataclass(slots=True)
class _Pod:
    """One pod that is scraped."""

    target: Target
    interval: float
    last: Scrape | None = None
    timer: Timer | None = None
    task: asyncio.Task[None] | None = None
    schedule: Schedule = field(default_factory=Schedule)
    again: bool = False

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()


class PodScraper:
    """Scrapes the pods of the last `sync` again and again, until `clear`."""

    def __init__(
        self,
        scrape: Callable[[Target], Awaitable[Scrape]],
        *,
        concurrency: int,
        on_change: Callable[[Key], None],
        call_later: Callable[..., Timer] | None = None,
    ) -> None:
        """Take the function that scrapes one pod and never fails.

        Args:
            scrape: asks one pod.
            concurrency: pods scraped at the same time.
            on_change: called with the resource of a pod whose answers have changed.
            call_later: schedules a call after some seconds; the running loop's if None.
        """
        self._scrape, self._on_change, self._call_later = scrape, on_change, call_later
        self._slots = asyncio.Semaphore(concurrency)
        self._slots_of_hung = asyncio.Semaphore(max(1, concurrency // 4))
        self._pods: dict[str, _Pod] = {}
        self._by_key: dict[Key, set[str]] = {}

    def __len__(self) -> int:
        """Return the number of pods that are scraped."""
        return len(self._pods)

    def result(self, uid: str) -> Scrape | None:
        """Return the pod's last answers, None if it has not been scraped yet."""
        pod = self._pods.get(uid)
        return pod.last if pod else None

    def sync(self, key: Key, targets: Iterable[Target], interval: float) -> None:
        """Scrape exactly these pods of a resource from now on, each every `interval` seconds with jitter.

        A pod that is new, has become ready or has another address is scraped at once.
        """
        wanted = {target.uid: target for target in targets}
        for uid in self._by_key.get(key, set()) - wanted.keys():
            self._pods.pop(uid).stop()
        for uid, target in wanted.items():
            pod = self._pods.get(uid)
            if pod is None:
                pod = self._pods[uid] = _Pod(target, interval)
                self._start(pod)
                continue
            before, pod.target, pod.interval = pod.target, target, interval
            if target.ready and not before.ready:
                # Its answers while it was loading are not those of a ready pod: until it is scraped, nothing is known.
                pod.last = None
            if before != target and (target.ready or before.host != target.host):
                pod.schedule.restart()
                self._start(pod)
        if wanted:
            self._by_key[key] = set(wanted)
        else:
            self._by_key.pop(key, None)

    def forget(self, key: Key) -> None:
        """Scrape no pod of this resource any longer."""
        self.sync(key, (), 1.0)

    def clear(self) -> None:
        """Scrape no pod any longer, and forget all answers."""
        for pod in self._pods.values():
            pod.stop()
        self._pods.clear()
        self._by_key.clear()

    def _start(self, pod: _Pod) -> None:
        if pod.timer is not None:
            pod.timer.cancel()
            pod.timer = None
        if pod.task is not None:
            pod.again = True
            return
        pod.task = asyncio.create_task(self._run(pod), name=f"scrape {pod.target.uid}")

    async def _run(self, pod: _Pod) -> None:
        target = pod.target
        hung = pod.last is not None and pod.last.hung
        async with self._slots_of_hung if hung else contextlib.nullcontext(), self._slots:
            scrape = await self._scrape(target)
        pod.task = None
        if self._pods.get(target.uid) is not pod:
            return
        if pod.again:
            # The pod has changed meanwhile: this answer may be about its state before.
            pod.again = False
            self._start(pod)
            return
        changed = scrape != pod.last
        pod.last = scrape
        delay = pod.schedule.next_delay(scrape, ready=pod.target.ready, interval=pod.interval)
        call_later: Callable[..., Any] = self._call_later or asyncio.get_running_loop().call_later
        pod.timer = call_later(jittered(delay), self._start, pod)
        if changed:
            self._on_change(target.key)
