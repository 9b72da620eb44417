"""Server processes: starting, waiting, memory, and ending."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from benchmarks.machine import BenchmarkError, memory, process_tree

READY_TIMEOUT: Final = 180.0
"""Seconds in which a server must become ready."""
END_TIMEOUT: Final = 60.0
"""Seconds in which a server must end after SIGTERM."""
POLL_SECONDS: Final = 0.1


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


def is_ready(url: str) -> bool:
    """Return what the readiness endpoint of KServe's protocol answers."""
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    port: int,
    log: Path,
    python: Path = Path(sys.executable),
    ready: Callable[[str], bool] = is_ready,
) -> Iterator[Server]:
    """Start a server and yield it when it is ready; ends it afterwards, with all processes that it started.

    Args:
        command: a module of Python and its arguments.
        environment: added to that of this process.
        port: of loopback, on which the server listens.
        log: file of its output.
        python: the interpreter.
        ready: returns if the server at a URL is ready.

    Raises:
        RuntimeError: it ended, or was not ready in time.
    """
    begun = time.monotonic()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(python), "-m", *command],
            env={**os.environ, **environment},
            stdout=stream,
            stderr=stream,
            process_group=0,
        )
    starting_mb = 0.0
    try:
        while not ready(url):
            if process.poll() is not None:
                raise RuntimeError(f"expected {command[0]} to serve, but it ended with {process.returncode}; see {log}")
            if time.monotonic() - begun > READY_TIMEOUT:
                raise RuntimeError(f"expected {command[0]} to be ready within {READY_TIMEOUT:g} s; see {log}")
            starting_mb = max(starting_mb, sum(map(_resident, process_tree(process.pid))))
            time.sleep(POLL_SECONDS)
        yield Server(url, process.pid, time.monotonic() - begun, starting_mb)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM and wait; kills what still runs afterwards, of the process and of those that it started.

    Args:
        process: the first of a process group. Its child processes may have lost it as their parent, if it ended before.
    """
    with contextlib.ExitStack() as handles:
        # Handles, because another process may get the number of one that has ended.
        started = [handles.enter_context(_handle(pid)) for pid in process_tree(process.pid) if pid != process.pid]
        if process.returncode is None:
            # `process.terminate` would collect one that has ended, and then another group could have its number.
            os.kill(process.pid, signal.SIGTERM)
            handle = os.pidfd_open(process.pid)
            handles.callback(os.close, handle)
            select.select([handle], [], [], END_TIMEOUT)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for one in started:
            with contextlib.suppress(ProcessLookupError):
                if one is not None:
                    signal.pidfd_send_signal(one, signal.SIGKILL)


@contextlib.contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    """Open a process; None if it has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _resident(pid: int) -> float:
    """Return the resident set in MB; 0 if the process has ended."""
    try:
        return memory(pid)[0]
    except (BenchmarkError, OSError):
        return 0.0
