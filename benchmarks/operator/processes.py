"""Start a program under test, measure its memory and CPU time, and end it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from benchmarks.machine import BenchmarkError, memory

_TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Program:
    """A running process."""

    pid: int
    log: Path
    reconciles_url: str = ""
    reconciles_series: str = ""

    def memory(self) -> tuple[float, float]:
        """Resident set now and at its highest, in MB."""
        try:
            return memory(self.pid)
        except BenchmarkError as error:
            raise BenchmarkError(f"{error}: see {self.log}") from error

    def reconciles(self) -> float:
        """The number of its reconciles so far, by its own metrics."""
        text = httpx.get(self.reconciles_url, trust_env=False, timeout=30).text
        lines = (line for line in text.splitlines() if line.startswith(self.reconciles_series))
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        return processor_seconds(self.pid)


def processor_seconds(pid: int) -> float:
    """Return the seconds of processor time that a process has used so far."""
    # The program's name, in brackets, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def find_process(program: str, folder: Path) -> int:
    """Return the id of the process that runs a program with an argument in a folder.

    Raises:
        BenchmarkError: there is none.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, *arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(name).name == program and any(str(folder) in argument for argument in arguments):
                return int(process.name)
    raise BenchmarkError(f"expected a running {program} with an argument in {folder}, found none")


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], *, log: Path, reconciles: tuple[str, str] = ("", "")
) -> Iterator[Program]:
    """Run a program within the `with` block; `reconciles` is the URL of its metrics and the metric of its reconciles.

    Raises:
        BenchmarkError: it ended before the block did.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
    try:
        yield Program(process.pid, log, *reconciles)
        if process.poll() is not None:
            raise BenchmarkError(f"{Path(command[0]).name} ended with status {process.returncode}, see {log}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def idle_share(program: Program, seconds: float) -> float:
    """Return the share of one processor that a program uses while it has no work."""
    before, begun = program.cpu(), time.monotonic()
    time.sleep(seconds)
    return (program.cpu() - before) / (time.monotonic() - begun)
