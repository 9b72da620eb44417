"""The machine that a benchmark runs on, and the memory and CPU time of its processes."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cetacean_inference.system.processor import processor_fields

MEGABYTE: Final = 1e6


class BenchmarkError(RuntimeError):
    """A measured program failed; the message is one line."""


def processor() -> str:
    """Return the processors' model name."""
    return processor_fields().get("model name", "unknown")


def memory(pid: int) -> tuple[float, float]:
    """Return a process's resident set now and at its highest, in MB.

    Raises:
        BenchmarkError: it has none, as it has ended.
        OSError: there is no such process.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    now, peak = (re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE) for name in ("VmRSS", "VmHWM"))
    if now is None or peak is None:
        raise BenchmarkError(f"expected VmRSS and VmHWM of process {pid}, got none")
    return int(now[1]) * 1024 / MEGABYTE, int(peak[1]) * 1024 / MEGABYTE


def process_tree(pid: int) -> Iterator[int]:
    """Yield a process and all processes that it and its child processes have started and that still run."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            for child in task.read_text(encoding="utf-8").split():
                yield from process_tree(int(child))


def shared_memory(pid: int) -> float:
    """Return the memory of a process and of those that it started, in MB: a page that several share counts once.

    Pages that other programs share too, such as those of the C library, count in parts.
    """
    kilobytes = 0
    for one in process_tree(pid):
        with contextlib.suppress(OSError):  # ended meanwhile
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8")
            kilobytes += sum(map(int, re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)))
    return kilobytes * 1024 / MEGABYTE


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
