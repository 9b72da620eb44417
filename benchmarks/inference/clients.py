"""Clients that each send one picture after another, and what they see of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np


@dataclass(slots=True)
class Seen:
    """What clients saw of one server, over several rounds."""

    latencies: list[float] = field(default_factory=list)
    """Seconds of each answer."""
    seconds: float = 0.0

    @property
    def throughput(self) -> float:
        """Pictures a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds."""
        return float(np.percentile(self.latencies, share)) * 1000


async def ask(url: str, pictures: Sequence[bytes], *, clients: int, seconds: float, seen: Seen) -> None:
    """Have `clients` ask for `seconds`; what is under way then is awaited and counts, as does its time.

    Raises:
        httpx.HTTPStatusError: when a picture is not answered with 200.
    """
    supply = itertools.cycle(pictures)
    begun = time.perf_counter()

    async def one(client: httpx.AsyncClient) -> None:
        while time.perf_counter() - begun < seconds:
            sent = time.perf_counter()
            files = {"file": ("picture.jpg", next(supply), "image/jpeg")}
            (await client.post(f"{url}/v1/predict-single", files=files)).raise_for_status()
            seen.latencies.append(time.perf_counter() - sent)

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(one(client))
    seen.seconds += time.perf_counter() - begun
