"""Switches the version under load, and counts the requests that fail meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx
from benchmarks.clients import Form, send
from benchmarks.machine import BenchmarkError
from benchmarks.servers import Server
from benchmarks.serving.contestants import NEXT_VERSION, Contestant, Starter

PAUSE_SECONDS: Final = 0.05
"""Of a client whose request has failed."""
TIMEOUT_SECONDS: Final = 120.0


@dataclass(slots=True)
class Switch:
    """Measurements of one switch, from the start of the new version until the old one has ended."""

    latencies: list[float] = field(default_factory=list)
    """Latency of each answer, in seconds."""
    failed: list[str] = field(default_factory=list)
    """The error of each request that was not answered with success."""
    seconds: float = 0.0
    """Until the first answer of the new version."""


@dataclass(slots=True)
class _Load:
    """Shared by the clients, which read the URL before each request."""

    url: str
    stopping: bool = False
    next_version_at: float | None = None
    switched: asyncio.Event = field(default_factory=asyncio.Event)


async def switch(
    contestant: Contestant, old: Server, starter: Starter, pictures: Sequence[bytes], *, clients: int, seconds: float
) -> Switch:
    """Switch while clients ask, and `seconds` before and after it.

    If the server does not update itself, a new process serves the next version. When it has answered its first picture,
    the clients send their next requests to it, and the old process gets SIGTERM.

    Raises:
        BenchmarkError: the next version does not answer in time.
    """
    seen, load = Switch(), _Load(old.url)
    limits = httpx.Limits(max_connections=2 * clients)
    forms = itertools.cycle([contestant.encode(picture) for picture in pictures])
    with ExitStack() as running:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits) as client, asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(_ask(client, contestant, forms, load, seen))
            await asyncio.sleep(seconds)
            begun = time.perf_counter()
            if contestant.updates_itself:
                os.kill(old.pid, signal.SIGHUP)
            else:
                new = await asyncio.to_thread(running.enter_context, starter.serving(contestant, NEXT_VERSION))
                load.url = new.url
                os.kill(old.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(load.switched.wait(), TIMEOUT_SECONDS)
            await asyncio.sleep(seconds)
            load.stopping = True
    if load.next_version_at is None:
        raise BenchmarkError(f"{contestant.name}: expected an answer of {NEXT_VERSION} within {TIMEOUT_SECONDS:g} s")
    seen.seconds = load.next_version_at - begun
    return seen


async def _ask(
    client: httpx.AsyncClient, contestant: Contestant, forms: itertools.cycle[Form], load: _Load, seen: Switch
) -> None:
    while not load.stopping:
        sent = time.perf_counter()
        try:
            answer = await send(client, load.url, next(forms))
        except httpx.HTTPError as error:
            seen.failed.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        now = time.perf_counter()
        seen.latencies.append(now - sent)
        if load.next_version_at is None and contestant.decode(answer.json())["model_version"] == NEXT_VERSION:
            load.next_version_at = now
            load.switched.set()
