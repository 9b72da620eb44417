"""Throughput of the service alone and beside busy processes, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.clients import Seen, ask
from benchmarks.machine import free_port
from benchmarks.servers import serving

from cetacean_evaluation.settings import model_settings
from cetacean_inference.settings import load_settings
from cetacean_inference.system.priority import NICENESS
from cetacean_inference.weights.fetch import fetch_all
from cetacean_registry.registry import Registry
from cetacean_tools.demo_models import DemoModels

BUSY: Final = 3
CLIENTS: Final = 4
PICTURES: Final = 16
SPIN: Final = f"import os\nos.nice({NICENESS})\nwhile True: pass"
"""With the priority of the service's threads that compute."""
MIN_THROUGHPUT: Final = 1 / (1 + BUSY)
"""Smallest throughput beside the busy processes, as a part of that alone: the service's share as one of four."""
MAX_PROCESSOR_TIME: Final = 1.2
"""Most processor time of a picture beside them, as a multiple of that alone: threads that wait must not spin."""


@dataclass(slots=True)
class Turns:
    """Measurements of several turns."""

    seen: Seen = field(default_factory=Seen)
    processor_seconds: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return pictures a second, and milliseconds of processor time for each."""
        per_picture = 1000 * self.processor_seconds / len(self.seen.latencies)
        return {"pictures_s": round(self.seen.throughput, 2), "processor_ms": round(per_picture, 2)}


def measure(models: DemoModels, *, cache: Path, log: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure the demo's service.

    Args:
        models: whose first model is served.
        cache: folder for the cache of weights.
        log: file for the service's log.
        seconds: length of a turn.
        rounds: turns of each kind.
    """
    given = environment(models, cache)
    os.environ.update(given)
    fetch_all(load_settings())
    pictures = [path.read_bytes() for path in models.cetaceans[:PICTURES]]
    port = free_port()
    with serving(
        ("cetacean_inference", "serve"), {**given, "CETACEAN_HTTP__PORT": str(port)}, port=port, log=log
    ) as it:
        asyncio.run(ask(it.url, pictures, clients=CLIENTS, seconds=seconds, seen=Seen()))  # warms up
        alone, beside = Turns(), Turns()
        for _ in range(rounds):
            _take(alone, it.url, it.pid, pictures, seconds=seconds)
            with busy_processes():
                _take(beside, it.url, it.pid, pictures, seconds=seconds)
    return results(alone, beside)


def results(alone: Turns, beside: Turns) -> dict[str, Any]:
    """Return the figures for the JSON file."""
    before, after = alone.figures(), beside.figures()
    return {
        "busy_processes": BUSY,
        "alone": before,
        "beside": after,
        "throughput_ratio": round(after["pictures_s"] / before["pictures_s"], 3),
        "processor_ratio": round(after["processor_ms"] / before["processor_ms"], 3),
        "min_throughput_ratio": MIN_THROUGHPUT,
        "max_processor_ratio": MAX_PROCESSOR_TIME,
    }


def keeps_bounds(found: Mapping[str, Any]) -> bool:
    """Return true if the service has lost no more throughput than its share of the processors."""
    return bool(
        found["throughput_ratio"] >= found["min_throughput_ratio"]
        and found["processor_ratio"] <= found["max_processor_ratio"]
    )


def table(found: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table."""
    rows = (("pictures/s", "pictures_s", "throughput_ratio"), ("processor time, ms", "processor_ms", "processor_ratio"))
    lines = [
        f"| the service, {CLIENTS} clients | alone | beside {BUSY} busy processes | ratio |",
        "|---|---:|---:|---:|",
    ]
    for title, name, ratio in rows:
        lines.append(f"| {title} | {found['alone'][name]:g} | {found['beside'][name]:g} | {found[ratio]:.2f} |")
    bounds = (
        f"Bounds: {MIN_THROUGHPUT:g} of the pictures or more, {MAX_PROCESSOR_TIME:g} times the processor time or less."
    )
    return "\n".join([*lines, "", bounds])


def environment(models: DemoModels, cache: Path) -> dict[str, str]:
    """Return the environment variables of a service with the demo's first model."""
    base = models.folder.as_uri()
    gate = models.gate(base)
    entry = Registry.load(models.folder / "registry.json").models[0]
    model = model_settings(entry, weights_url=f"{base}/{entry.weights_path}").model_dump(exclude_none=True)
    settings = {
        "CONFIG_DIR": str(cache),
        "WEIGHTS_CACHE": str(cache / "weights"),
        "MONITORING_FILE": str(cache / "monitoring.json"),
        "HTTP__HOST": "127.0.0.1",
        "GATE__THRESHOLD": str(models.threshold),
        "GATE__ARCHITECTURE": gate["architecture"],
        "GATE__CONFIG_URL": gate["configURL"],
        "GATE__WEIGHTS_URL": gate["weightsURL"],
        **{f"MODEL__{name.upper()}": str(value) for name, value in model.items()},
    }
    return {f"CETACEAN_{name}": value for name, value in settings.items()}


@contextlib.contextmanager
def busy_processes(count: int = BUSY) -> Iterator[None]:
    """Run processes that compute without pause."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", SPIN]))
            stack.callback(process.kill)
        yield


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and of all that it has started."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task").glob("*/children")
    started = [int(child) for one in children for child in one.read_text(encoding="utf-8").split()]
    ticks = sum(map(int, fields[11:15]))  # of the process and of its children that have ended
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(processor_seconds, started))


def _take(turns: Turns, url: str, pid: int, pictures: Sequence[bytes], *, seconds: float) -> None:
    before = processor_seconds(pid)
    asyncio.run(ask(url, pictures, clients=CLIENTS, seconds=seconds, seen=turns.seen))
    turns.processor_seconds += processor_seconds(pid) - before
