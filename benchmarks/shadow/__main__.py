"""Measures the cost of a shadow to the clients of the model that serves: `python -m benchmarks.shadow`.

The demo's first model serves on one processor, and is its own candidate on another one, which the clients use too. In
turns, all, a quarter and none of the pictures are copied; each picture is sent once. The exit status is 1 if a client
was not answered or a copy was not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
from benchmarks.clients import Seen, ask
from benchmarks.contention.service import environment, processor_seconds
from benchmarks.machine import free_port
from benchmarks.publishing import publish_benchmark
from benchmarks.servers import Server, serving
from benchmarks.shadow.report import BEGIN, END, SHARES, Turns, results, table
from benchmarks.shadow.server import SERVICE

from cetacean_inference.settings import load_settings
from cetacean_inference.weights.fetch import fetch_all
from cetacean_tools.demo_models import DemoModels, ensure_models
from cetacean_tools.workspace import ToolError

CLIENTS: Final = 4
PICTURES: Final = 16
COPIES: Final = 4000
"""More pictures than a turn sends: each is compared once."""
POLL_SECONDS: Final = 0.1


def main() -> int:
    """Measure, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.shadow", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="turns with each share (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers too
    load_before = os.getloadavg()[0]
    try:
        models = ensure_models(lambda line: print(line, file=sys.stderr, flush=True))
        with tempfile.TemporaryDirectory(prefix="shadow-", ignore_cleanup_errors=True) as directory:
            turns = _measure(models, Path(directory), seconds=options.seconds, rounds=options.rounds)
    except (ToolError, RuntimeError, httpx.HTTPError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found = results(turns, clients=CLIENTS, rounds=options.rounds, load_before=load_before)
    print(table(found))
    if not options.dry:
        publish_benchmark("shadow", found, table(found), between=(BEGIN, END))
    return int(any(one.failed for one in turns.values()))


def _measure(models: DemoModels, folder: Path, *, seconds: float, rounds: int) -> dict[float, Turns]:
    given = {**environment(models, folder), "CETACEAN_DRIFT__POLL_SECONDS": str(POLL_SECONDS)}
    os.environ.update(given)
    fetch_all(load_settings())
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {last})  # the clients must not take the processor that serves
    pictures = _distinct([path.read_bytes() for path in models.cetaceans[:PICTURES]])
    with ExitStack() as running:
        other = running.enter_context(_serving(given, folder, last, name="candidate"))
        served = running.enter_context(_serving(given, folder, first, name="served", candidate=other))
        identity = httpx.get(f"{served.url}/v1/identity").json()
        model = {name: identity["model"][name] for name in ("name", "version")}
        model["sha256"] = identity["weights"]["sha256"]
        asyncio.run(ask(served.url, pictures, clients=CLIENTS, seconds=seconds, seen=Seen()))  # warms up
        turns = {share: Turns() for share in SHARES}
        runs = count()
        for round_number in range(rounds):
            # Another order in each round: other work on the machine changes from minute to minute.
            for share in (*SHARES[round_number % 3 :], *SHARES[: round_number % 3]):
                _copy(served, folder, share, model, run=f"run {next(runs)}")
                _take(turns[share], served, pictures, seconds=seconds)
                print(share, turns[share].figures(), flush=True)
    return turns


def _serving(given: Mapping[str, str], folder: Path, cpu: int, *, name: str, candidate: Server | None = None) -> Any:
    port = free_port()
    environment = {
        **given,
        "CETACEAN_HTTP__PORT": str(port),
        "CETACEAN_HTTP__INTERNAL_PORT": "0",
        "CETACEAN_MONITORING_FILE": str(folder / f"{name}.json"),
    }
    asked = [candidate.url.rpartition(":")[2]] if candidate else []
    command = ("benchmarks.shadow.server", str(cpu), *asked)
    return serving(command, environment, port=port, log=folder / f"{name}.log")


def _copy(served: Server, folder: Path, share: float, model: Mapping[str, str], *, run: str) -> None:
    """Let the server copy that share from now on."""
    plan = {"run": run, "share": share, "url": f"http://{SERVICE}", "candidate": model, "served": model}
    new = folder / "served.json.new"
    new.write_text(json.dumps({"shadow": plan} if share else {}), encoding="utf-8")
    new.rename(folder / "served.json")
    while httpx.get(f"{served.url}/v1/shadow-stats").json()["run"] != (run if share else None):
        time.sleep(POLL_SECONDS)


def _take(turns: Turns, served: Server, pictures: Sequence[bytes], *, seconds: float) -> None:
    before = processor_seconds(served.pid)
    asyncio.run(ask(served.url, pictures, clients=CLIENTS, seconds=seconds, seen=turns.seen))
    turns.processor_seconds += processor_seconds(served.pid) - before
    found = httpx.get(f"{served.url}/v1/shadow-stats").json()
    turns.sampled += found["sampled"]
    turns.compared += found["candidate"]["pairs"]
    turns.dropped += found["dropped"] + found["busy"]
    turns.failed += sum(found["failed"].values())


def _distinct(files: Sequence[bytes]) -> list[bytes]:
    """Return copies of JPEG files that differ by a comment: a picture that is sent again is not compared again."""
    made = []
    for number in range(COPIES):
        data, comment = files[number % len(files)], f"{number:08}".encode()
        made.append(data[:2] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + data[2:])
    return made


if __name__ == "__main__":
    raise SystemExit(main())
