"""Scrapes pods for the weights that they serve and the drift of their scores, at a bounded rate, beside the queue.

A pod that hangs, lies or floods occupies one slot for one time-out: pods that have hung share a quarter of the slots
from then on. Results are kept per pod uid; a resource is reconciled only if one of them has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import aiohttp

from cetacean_operator.api import names
from cetacean_operator.kube.store import Key
from cetacean_operator.pods.pod_responses import BadAnswerError, PodMetrics, describe, parse_json, parse_metrics

_LOG = logging.getLogger(__name__)
_FIRST_RETRY = 1.0
"""Seconds to the first repeat of a scrape that did not bring what is needed."""
_MOST_INTERVALS = 8.0
"""Intervals between two scrapes of a pod that does not answer, at most."""


@dataclass(frozen=True, slots=True)
class Target:
    """A pod to scrape."""

    uid: str
    key: Key
    host: str
    port: int
    ready: bool

    @property
    def url(self) -> str:
        """The pod's base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The last answers of a pod. A part that failed is None or empty, and `error` names the first failure."""

    identity: Mapping[str, Any] | None = None
    drift_stats: Mapping[str, Any] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    rejections: Mapping[str, float] = field(default_factory=dict)
    durations: tuple[tuple[float, float], ...] = ()
    error: str | None = None
    hung: bool = field(default=False, compare=False)

    @property
    def answered(self) -> bool:
        """True if the pod has answered at least one request."""
        return self.identity is not None or self.drift_stats is not None or bool(self.metrics)

    @property
    def settled(self) -> bool:
        """True if the pod has reported the weights that it serves."""
        weights = (self.identity or {}).get("weights")
        return isinstance(weights, Mapping) and bool(weights.get("sha256"))


@dataclass(slots=True)
class _Watched:
    target: Target
    interval: float
    last: Scrape | None = None
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    urgent_tries: int = 0
    unanswered: int = 0
    again: bool = False

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()


class PodScraper:
    """Scrapes the pods of the last `sync` again and again. Use as an async context manager."""

    def __init__(
        self,
        *,
        concurrency: int,
        timeout: float,
        max_bytes: int,
        on_change: Callable[[Key], None],
        count: Callable[[str], None] = lambda _result: None,
    ) -> None:
        """Bound the scraping.

        Args:
            concurrency: pods asked at the same time.
            timeout: seconds for all that is asked of one pod.
            max_bytes: of one answer.
            on_change: called with the resource of a pod whose answers changed.
            count: called with `ok`, or with the kind of the failure.
        """
        self._slots = asyncio.Semaphore(concurrency)
        self._slots_of_hung = asyncio.Semaphore(max(1, concurrency // 4))
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._on_change = on_change
        self._count = count
        self._pods: dict[str, _Watched] = {}
        self._by_key: dict[Key, set[str]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> PodScraper:  # noqa: PYI034 -- not meant to be derived from
        """Open the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=10),
            auto_decompress=False,  # the bound is on what is held in memory
            headers={"Accept-Encoding": "identity", "User-Agent": names.MANAGER},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop asking."""
        self.clear()
        if self._session is not None:
            await self._session.close()

    def __len__(self) -> int:
        """Return the number of pods being asked."""
        return len(self._pods)

    def result(self, uid: str) -> Scrape | None:
        """Return the pod's last answers, None where it has not been asked yet."""
        watched = self._pods.get(uid)
        return watched.last if watched else None

    def sync(self, key: Key, targets: Iterable[Target], interval: float) -> None:
        """Ask exactly these pods of a resource from now on, each every `interval` seconds with jitter.

        A pod that is new, has turned ready or has another address is asked at once.
        """
        wanted = {target.uid: target for target in targets}
        for uid in self._by_key.get(key, set()) - wanted.keys():
            self._pods.pop(uid).stop()
        for uid, target in wanted.items():
            watched = self._pods.get(uid)
            if watched is None:
                watched = self._pods[uid] = _Watched(target, interval)
                self._start(watched)
                continue
            before, watched.target, watched.interval = watched.target, target, interval
            if target.ready and not before.ready:
                # What it said while it was loading is not what a ready pod says: until it is asked, nothing is known.
                watched.last = None
            if before != target and (target.ready or before.host != target.host):
                watched.urgent_tries = watched.unanswered = 0
                self._start(watched)
        if wanted:
            self._by_key[key] = set(wanted)
        else:
            self._by_key.pop(key, None)

    def forget(self, key: Key) -> None:
        """Ask no pod of this resource any longer."""
        self.sync(key, (), 1.0)

    def clear(self) -> None:
        """Ask no pod any longer and forget all answers."""
        for watched in self._pods.values():
            watched.stop()
        self._pods.clear()
        self._by_key.clear()

    def _start(self, watched: _Watched) -> None:
        if watched.timer is not None:
            watched.timer.cancel()
            watched.timer = None
        if watched.task is not None:
            watched.again = True
            return
        watched.task = asyncio.create_task(self._ask(watched), name=f"scrape {watched.target.uid}")

    async def _ask(self, watched: _Watched) -> None:
        target = watched.target
        hung = watched.last is not None and watched.last.hung
        async with self._slots_of_hung if hung else contextlib.nullcontext(), self._slots:
            scrape = await self._scrape(target)
        watched.task = None
        if self._pods.get(target.uid) is not watched:
            return
        if watched.again:
            # The pod has changed while it was asked: this answer may be about what it was before.
            watched.again = False
            self._start(watched)
            return
        changed = scrape != watched.last
        watched.last = scrape
        watched.timer = asyncio.get_running_loop().call_later(self._delay(watched, scrape), self._start, watched)
        if changed:
            self._on_change(target.key)

    def _delay(self, watched: _Watched, scrape: Scrape) -> float:
        return self._plain_delay(watched, scrape) * random.uniform(0.8, 1.2)

    @staticmethod
    def _plain_delay(watched: _Watched, scrape: Scrape) -> float:
        ready, interval = watched.target.ready, watched.interval
        if not scrape.answered:
            # Its kubelet finds it well, so it is the way there that is barred, and likely to stay so.
            step = min(watched.unanswered, 10)
            watched.unanswered += 1
            return min(_FIRST_RETRY * 4.0**step if ready else interval * 2.0**step, interval * _MOST_INTERVALS)
        watched.unanswered = 0
        # A ready pod that has not named its weights holds up the resource's Ready: ask again soon.
        if ready and not scrape.settled:
            watched.urgent_tries += 1
            return min(_FIRST_RETRY * 2.0 ** (min(watched.urgent_tries, 10) - 1), interval)
        watched.urgent_tries = 0
        return interval

    async def _scrape(self, target: Target) -> Scrape:
        """Ask one pod for all three; whatever fails becomes part of the answer."""
        try:
            async with asyncio.timeout(self._timeout):
                results = await self._answers(target)
        except TimeoutError:
            self._count("timeout")
            return Scrape(error=f"no answer within {self._timeout:g} s", hung=True)
        scrape, kinds = Scrape(), []
        for name, result in zip(("identity", "drift_stats", "metrics"), results, strict=True):
            if isinstance(result, BadAnswerError):
                kinds.append("bad_answer")
            elif isinstance(result, Exception):
                kinds.append("unreachable")
            elif name == "metrics":
                scrape = replace(scrape, metrics=result.plain, rejections=result.rejections, durations=result.durations)
                continue
            else:
                scrape = replace(scrape, **{name: result})
                continue
            scrape = replace(scrape, error=scrape.error or describe(result))
        self._count(kinds[0] if kinds else "ok")
        if scrape.error:
            _LOG.debug("scrape: %s: %s", target.url, scrape.error, extra={"resource": "/".join(target.key)})
        return scrape

    async def _answers(self, target: Target) -> list[Any]:
        """Ask for one after the other, over one connection; return answers and failures."""
        results: list[Any] = []
        for ask in (
            partial(self._json, target, "/v1/identity"),
            partial(self._json, target, "/v1/drift-stats"),
            partial(self._metrics, target),
        ):
            # Where nobody listens, once is enough.
            if results and isinstance(results[-1], aiohttp.ClientConnectorError):
                results.append(results[-1])
                continue
            try:
                results.append(await ask())
            except (BadAnswerError, aiohttp.ClientError, OSError, TimeoutError) as error:
                results.append(error)
        return results

    async def _get(self, target: Target, path: str) -> bytes:
        assert self._session is not None, "use it as a context manager"  # noqa: S101 -- a programmer's error
        async with self._session.get(target.url + path, allow_redirects=False) as response:
            if response.status != 200:
                raise BadAnswerError(f"{path}: expected status 200, got {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(16384):
                body += chunk
                if len(body) > self._max_bytes:
                    raise BadAnswerError(f"{path}: expected at most {self._max_bytes} bytes, got more")
            return bytes(body)

    async def _json(self, target: Target, path: str) -> Mapping[str, Any]:
        return parse_json(path, await self._get(target, path))

    async def _metrics(self, target: Target) -> PodMetrics:
        return parse_metrics(await self._get(target, "/metrics"))
