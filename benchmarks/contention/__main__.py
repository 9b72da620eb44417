"""Measures the processor time that processes side by side cost each other: `python -m benchmarks.contention`.

`compute_metrics` runs alone and three times side by side, on the demo's models. Each process should take about the same
processor time as one alone: threads that wait for processors must not spin. Then the service answers clients, in turns
alone and beside three busy processes. The exit status is 1 if a bound is not kept.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.contention import service
from benchmarks.machine import BenchmarkError, processor
from benchmarks.publishing import publish_benchmark

from cetacean_inference.system.cpus import usable_cpus
from cetacean_registry.registry import Registry
from cetacean_tools.demo_models import DemoModels, ensure_models
from cetacean_tools.workspace import REPOSITORY, ToolError

PROCESSES: Final = 3
BOUND: Final = 1.2
"""Most processor time of one of several processes, as a multiple of that of one alone."""
BEGIN, END = "<!-- contention: written by make bench-contention -->", "<!-- contention: end -->"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one process."""

    processor: float
    wall: float


def main() -> int:
    """Measure, print the table and write the results; returns 1 if the bound is not kept or a process failed."""
    parser = argparse.ArgumentParser(prog="benchmarks.contention", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="length of a turn of the service (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind (default: %(default)s)")
    parser.add_argument("--models", type=Path, help="folder of trained demo models (default: those of `make models`)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    try:
        models = (
            DemoModels(options.models)
            if options.models
            else ensure_models(lambda line: print(line, file=sys.stderr, flush=True))
        )
        found = _measure(models, seconds=options.seconds, rounds=options.rounds)
    except (BenchmarkError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(found))
    if not options.dry:
        publish_benchmark("contention", found, table(found), between=(BEGIN, END))
    return 0 if found["ratio"] <= BOUND and service.keeps_bounds(found["service"]) else 1


def table(found: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        f"{found['cpus']} processors ({found['cpu']}); load average before {found['load_average_before']:g}.",
        "",
        f"| compute_metrics | alone | {found['processes']} side by side | ratio |",
        "|---|---:|---:|---:|",
    ]
    for title, name in (("processor time of each process, s", "processor"), ("time, s", "wall")):
        alone, together = found["alone"][name], found["together"][name]
        lines.append(f"| {title} | {alone:g} | {together:g} | {together / alone:.2f} |")
    bound = f"Bound of the processor time: {BOUND:g} times that of one alone."
    return "\n".join([*lines, "", bound, "", service.table(found["service"])])


def results(alone: Sequence[Cost], together: Sequence[Cost], *, load_average: float) -> dict[str, Any]:
    """Return the figures for the JSON file: means of the processes, and the ratio of their processor times."""
    ratio = statistics.mean(one.processor for one in together) / statistics.mean(one.processor for one in alone)
    return {
        "cpu": processor(),
        "cpus": usable_cpus(),
        "load_average_before": round(load_average, 1),
        "processes": len(together),
        "alone": _means(alone),
        "together": _means(together),
        "ratio": round(ratio, 3),
        "bound": BOUND,
    }


def run_side_by_side(commands: Sequence[Sequence[str]], *, log: Path) -> list[Cost]:
    """Run commands at the same time, and return the cost of each with all its threads and child processes.

    Raises:
        BenchmarkError: one of them failed.
    """
    with log.open("ab") as stream, ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda command: _run(command, stream, log=log), commands))


def _run(command: Sequence[str], stream: IO[bytes], *, log: Path) -> Cost:
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=stream, stderr=stream)
    # Popen.wait() would not return the usage of this process alone.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # 3: the figures are computed, and below the gate's bounds.
    if process.returncode not in (0, 3):
        raise BenchmarkError(f"{' '.join(command)} failed, see {log}")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - begun)


def _measure(models: DemoModels, *, seconds: float, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="contention-", ignore_cleanup_errors=True) as directory:
        folder = Path(directory)
        commands = [_command(models, folder, number) for number in range(PROCESSES)]
        log = models.folder.parent / "contention.log"
        log.unlink(missing_ok=True)
        run_side_by_side(commands[:1], log=log)  # fills the cache
        load_average = os.getloadavg()[0]
        alone = run_side_by_side(commands[:1], log=log)
        together = run_side_by_side(commands, log=log)
        served = service.measure(models, cache=folder / "service", log=log, seconds=seconds, rounds=rounds)
        return {**results(alone, together, load_average=load_average), "service": served}


def _command(models: DemoModels, folder: Path, number: int) -> list[str]:
    gate = models.gate(models.folder.as_uri())
    entry = Registry.load(models.folder / "registry.json").models[0]
    options = {
        "--registry": models.folder / "registry.json",
        "--model": entry.name,
        "--weights": f"{models.folder}/{entry.weights_path}",  # a registry names no local files
        "--model-version": entry.version,
        "--manifest": models.folder / "pictures/manifest.csv",
        "--gate-architecture": gate["architecture"],
        "--gate-config": gate["configURL"],
        "--gate-weights": gate["weightsURL"],
        "--threshold": models.threshold,
        "--cache": folder / "cache",
        "--out": folder / f"{number}.json",
    }
    given = [str(part) for pair in options.items() for part in pair]
    return [sys.executable, str(REPOSITORY / "scripts/compute_metrics.py"), *given]


def _means(costs: Sequence[Cost]) -> dict[str, float]:
    return {
        "processor": round(statistics.mean(one.processor for one in costs), 2),
        "wall": round(statistics.mean(one.wall for one in costs), 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
