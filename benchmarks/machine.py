"""The machine that a benchmark runs on, and the memory and CPU time of its processes."""

from __future__ import annotations

import re
import socket
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


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
