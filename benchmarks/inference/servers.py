"""Server processes: starting, waiting, memory, and ending."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from benchmarks.machine import BenchmarkError, memory

READY_TIMEOUT: Final = 300.0
"""Seconds in which a server must become ready."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready."""

    url: str
    pid: int
    ready_seconds: float
    starting_mb: float
    """Highest memory of it and its child processes together before it was ready."""

    def memory(self) -> tuple[float, float]:
        """Return the resident set now and at its highest, in MB."""
        return memory(self.pid)


@contextlib.contextmanager
def serving(command: Sequence[str], environment: Mapping[str, str], *, port: int, log: Path) -> Iterator[Server]:
    """Start a server and yield it when it is ready; ends it afterwards.

    Raises:
        RuntimeError: it ended, or was not ready in time.
    """
    begun = time.monotonic()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env={**os.environ, **environment}, stdout=stream, stderr=stream
        )
    starting_mb = 0.0
    try:
        while not _ready(url):
            if process.poll() is not None or time.monotonic() - begun > READY_TIMEOUT:
                raise RuntimeError(f"expected {command[0]} to become ready within {READY_TIMEOUT:g} s, see {log}")
            starting_mb = max(starting_mb, sum(map(_resident, _with_children(process.pid))))
            time.sleep(0.1)
        yield Server(url, process.pid, time.monotonic() - begun, starting_mb)
    finally:
        process.terminate()
        process.wait(60)


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            yield from map(int, task.read_text(encoding="utf-8").split())


def _resident(pid: int) -> float:
    """Return the resident set in MB; 0 if the process has ended."""
    try:
        return memory(pid)[0]
    except (BenchmarkError, OSError):
        return 0.0


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
