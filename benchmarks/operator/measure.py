"""One contestant at one size: create all, switch all, switch single ones, be idle."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.operator.client import Client, Watched, connected
from benchmarks.operator.contestants import Contestant, Patch
from benchmarks.operator.processes import Program, idle_share
from benchmarks.operator.world import World

_QUIET: Final = 3.0
"""Seconds without any change, after which all work is done."""
_QUIET_BETWEEN_SINGLES: Final = 0.3
_WITHIN: Final = 600.0


@dataclass(frozen=True, slots=True)
class Burst:
    """One change of all resources at once."""

    seconds: float
    """From the first request of the client until the last workload was seen."""
    cpu_seconds: float
    """Of the contestant's process, until nothing changed any more; 0 if it has no process of its own."""
    requests: Counter[str]
    """Of the contestant to the API server, until nothing changed any more."""
    reconciles: float
    """Reconciles of the contestant until nothing changed any more; 0 if it exports no such metric."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of the contestant's process."""

    created: float
    switched: float
    end: float
    peak: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One contestant at one size."""

    size: int
    create: Burst
    switches: Sequence[Burst]
    singles: Sequence[float]
    """Seconds from a change to its workload's change, while all others are idle."""
    memory: Memory | None
    idle_cpu: float
    """Share of one processor."""


@dataclass(frozen=True, slots=True)
class Course:
    """The amount of measurements."""

    switches: int
    singles: int
    idle_seconds: float


def measure(contestant: Contestant, here: World, size: int, course: Course) -> Measured:
    """Measure one contestant in an empty control plane."""
    contestant.install(here)
    with contestant.run(here) as program:
        return asyncio.run(_measure(contestant, here, program, size, course))


async def _measure(contestant: Contestant, here: World, program: Program | None, size: int, course: Course) -> Measured:
    names = [f"model-{number:04}" for number in range(size)]
    async with connected(
        here.cluster.kubeconfig,
        resource=contestant.resource,
        workload=contestant.workload,
        made_of=contestant.made_of,
    ) as client:
        # Until one resource has been acted on, the program may still be starting, or waiting for its lease.
        client.watched.expect_one_more(["warm-up"])
        await client.apply([contestant.manifest("warm-up")])
        await client.watched.reached(_WITHIN)
        await client.watched.quiet(_QUIET)

        def used() -> tuple[float, float, Counter[str]]:
            cpu, reconciles = (program.cpu(), program.reconciles()) if program else (0.0, 0.0)
            return cpu, reconciles, here.requests(contestant.user)

        manifests = [contestant.manifest(name) for name in names]
        create = await _burst(client.watched, names, client.apply(manifests), used)
        created = program.memory()[0] if program else 0.0
        switches = [
            await _burst(client.watched, names, client.patch(names, contestant.switch(times)), used)
            for times in range(course.switches)
        ]
        switched = program.memory()[0] if program else 0.0
        singles = []
        for number in range(course.singles):
            patch = contestant.switch(course.switches + number // size)
            singles.append(await _single(client, names[number % size], patch))
        await client.watched.quiet(_QUIET)
        idle = await asyncio.to_thread(idle_share, program, course.idle_seconds) if program else 0.0
    memory = Memory(created, switched, *program.memory()) if program else None
    return Measured(size, create, switches, singles, memory, idle)


async def _burst(
    watched: Watched, names: Sequence[str], send: Awaitable[None], used: Callable[[], tuple[float, float, Counter[str]]]
) -> Burst:
    """Have something done to all, and wait for what comes of it."""
    cpu, reconciles, requests = used()
    watched.expect_one_more(names)
    begun = time.monotonic()
    await send
    seconds = await watched.reached(_WITHIN) - begun
    await watched.quiet(_QUIET)
    cpu_after, reconciles_after, requests_after = used()
    return Burst(seconds, cpu_after - cpu, requests_after - requests, reconciles_after - reconciles)


async def _single(client: Client, name: str, patch: Patch) -> float:
    """Change one resource while nothing else happens."""
    await client.watched.quiet(_QUIET_BETWEEN_SINGLES)
    client.watched.expect_one_more([name])
    begun = time.monotonic()
    await client.patch([name], patch)
    return await client.watched.reached(_WITHIN) - begun
