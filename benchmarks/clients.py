"""Clients that each send one picture after another and measure the latency."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
from benchmarks.servers import Server


@dataclass(slots=True)
class Seen:
    """Measurements of one server over several rounds."""

    latencies: list[float] = field(default_factory=list)
    """Latency of each answer in seconds."""
    seconds: float = 0.0

    @property
    def throughput(self) -> float:
        """Pictures per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return a percentile of the latency in milliseconds."""
        return float(np.percentile(self.latencies, share)) * 1000


@dataclass(frozen=True, slots=True)
class Form:
    """A request with one picture."""

    path: str
    body: bytes
    headers: Mapping[str, str]


Encode = Callable[[bytes], Form]
"""From a picture's file to a request."""


def multipart(picture: bytes, *, path: str = "/v1/predict-single", field: str = "file") -> Form:
    """Return a request with a multipart body."""
    request = httpx.Request("POST", "http://server", files={field: ("picture.jpg", picture, "image/jpeg")})
    return Form(path, request.read(), {"Content-Type": request.headers["Content-Type"]})


async def send(client: httpx.AsyncClient, url: str, form: Form) -> httpx.Response:
    """Send a request and return its answer.

    Raises:
        httpx.HTTPStatusError: the status is that of an error.
    """
    answer = await client.post(f"{url}{form.path}", content=form.body, headers=dict(form.headers))
    return answer.raise_for_status()


async def ask(
    url: str, pictures: Sequence[bytes], *, clients: int, seconds: float, seen: Seen, encode: Encode = multipart
) -> None:
    """Run `clients` clients for `seconds`; requests in progress at the end are awaited and count, with their time.

    Raises:
        httpx.HTTPStatusError: a picture is not answered with 200.
    """
    # Encoded once: the clients share the processors with the servers.
    forms = itertools.cycle([encode(picture) for picture in pictures])
    begun = time.perf_counter()

    async def one(client: httpx.AsyncClient) -> None:
        while time.perf_counter() - begun < seconds:
            form = next(forms)
            sent = time.perf_counter()
            await send(client, url, form)
            seen.latencies.append(time.perf_counter() - sent)

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(one(client))
    seen.seconds += time.perf_counter() - begun


class Turns:
    """Runs clients against one server after the other, round by round: other work on the machine slows both.

    Args:
        servers: both.
        pictures: files to send.
        seconds: length of a turn.
        rounds: turns of each server.
    """

    def __init__(
        self, servers: tuple[Server, Server], pictures: Sequence[bytes], *, seconds: float, rounds: int
    ) -> None:
        self._servers = servers
        self._pictures = pictures
        self._seconds = seconds
        self._rounds = rounds

    async def take(self, clients: int) -> tuple[Seen, Seen]:
        """Measure each server with that many clients."""
        seen = Seen(), Seen()
        for _ in range(self._rounds):
            for server, one in zip(self._servers, seen, strict=True):
                await ask(server.url, self._pictures, clients=clients, seconds=self._seconds, seen=one)
        print(f"{clients} clients: {[round(one.throughput, 2) for one in seen]} pictures/s", flush=True)
        return seen


async def median_score(url: str, pictures: Sequence[bytes]) -> float:
    """Return the median cetacean score of the pictures."""
    async with httpx.AsyncClient(timeout=120) as client:
        answers = [await send(client, url, multipart(picture)) for picture in pictures]
    scores = [answer.json()["cetacean_score"] for answer in answers]
    return float(np.median(scores))
